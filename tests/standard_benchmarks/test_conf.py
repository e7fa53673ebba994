"""Every benchmark's file composes, and what is wrong with a command is said in one line before anything is loaded."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.config.reading import read
from tests.end_to_end.tiny import cgpo

from cgpo.build.benchmarks import build_benchmarks, require_lm_eval
from cgpo.config import BenchmarkConfig
from cgpo.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
NAMES = ["gsm8k", "math", "mbpp", "humaneval", "ifeval", "arc", "truthfulqa"]
ROWS = {"gsm8k": 7473, "math": 5, "mbpp": 374, "humaneval": 164, "arc": 1119, "truthfulqa": 408}
HAS_HARNESS = find_spec("lm_eval") is not None


def read_benchmarks(*overrides: str) -> BenchmarkConfig:
    config = read("model.path=any/model", *overrides, command="benchmark")
    assert isinstance(config, BenchmarkConfig)
    return config


def test_all_are_all_there_are() -> None:
    assert list(read_benchmarks("benchmarks=all").benchmarks) == NAMES
    files = {path.stem for path in (CONF / "benchmarks").glob("*.yaml")}
    assert files == {*NAMES, "all", "none"}


@pytest.mark.parametrize("name", ROWS)
def test_the_public_file_of_each_is_read(shared: Path, name: str) -> None:
    plan = read_benchmarks(f"benchmarks={name}", f"data_dir={shared / 'data'}")
    benchmarks, documents = build_benchmarks(plan)
    assert list(benchmarks) == [name]
    assert len(documents[name].rows) == ROWS[name]


def test_the_hub_needs_no_file() -> None:
    benchmarks, documents = build_benchmarks(read_benchmarks("benchmarks=[math,arc]", "data_dir=null"))
    assert [list(benchmark.tasks) for benchmark in benchmarks.values()] == [["hendrycks_math"], ["arc_challenge"]]
    assert documents == {}


def test_a_missing_folder_or_file_is_named(tmp_path: Path) -> None:
    plan = read_benchmarks("benchmarks=gsm8k", f"data_dir={tmp_path / 'none'}")
    with pytest.raises(UserError, match=r"there is no such folder; name the folder .* data_dir=null"):
        build_benchmarks(plan)
    with pytest.raises(UserError, match=r"benchmarks\.gsm8k\.file: .*train\.jsonl: no such file"):
        build_benchmarks(read_benchmarks("benchmarks=gsm8k", f"data_dir={tmp_path}"))


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    done = cgpo("benchmark", "benchmarks=[gsm8k,mpbb]", "model.path=m", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: benchmarks=mpbb: there is no such choice; choose all, arc, gsm8k,")


@pytest.mark.skipif(HAS_HARNESS, reason="the extra lm-eval is installed")
def test_without_the_extra_it_is_named() -> None:
    with pytest.raises(UserError, match=r"lm-eval, .* is missing: pip install 'cgpo\[lm-eval\]'"):
        require_lm_eval()


@pytest.mark.skipif(not HAS_HARNESS, reason="needs the extra lm-eval: pip install -e '.[lm-eval]'")
def test_a_real_model_is_benchmarked(tmp_path: Path, shared: Path) -> None:
    import json

    data, model = shared / "data", shared / "models/stories260K"
    line = [f"model.path={model}", f"data_dir={data}", "limit=2", "threads=1", "hydra.run.dir=out"]
    done = cgpo("benchmark", *line, "benchmarks=[humaneval,ifeval,arc]", "max_tokens=3", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: max_tokens: there is no such key")
    done = cgpo("benchmark", *line, "benchmarks=[humaneval,ifeval,arc]", "max_new_tokens=16", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out/benchmark.json").read_text())
    scores = {task: score for tasks in found["benchmarks"].values() for task, score in tasks.items()}
    assert {task: score["rows"] for task, score in scores.items()} == {"humaneval": 2, "ifeval": 2, "arc_challenge": 2}
    assert scores["humaneval"]["metrics"]["pass@1, create_test"]["value"] == 0
    assert found["response_tokens"] == {"humaneval": 16, "ifeval": 16}
    assert f" benchmark {line[0]} {line[1]} " in found["command"]
    samples = [json.loads(row) for row in (tmp_path / "out/samples.jsonl").read_text().splitlines()]
    assert [sample["task"] for sample in samples] == ["humaneval"] * 2 + ["ifeval"] * 2 + ["arc_challenge"] * 2
    assert len(samples[-1]["choices"]) == 4

    again = cgpo("benchmark", *line, "benchmarks=[arc]", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr.startswith("error: out holds a run already")
