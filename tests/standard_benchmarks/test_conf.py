"""Every benchmark's file composes, and what is wrong with a command is said in one line before anything is loaded."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from cgpo.build.benchmarking import benchmark_plan, build_benchmarks
from cgpo.build.plan import resolved
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from tests.end_to_end.tiny import cgpo

from cgpo.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
NAMES = ["gsm8k", "math", "mbpp", "humaneval", "ifeval", "arc", "truthfulqa"]
ROWS = {"gsm8k": 7473, "math": 5, "mbpp": 374, "humaneval": 164, "arc": 1119, "truthfulqa": 408}
HAS_HARNESS = find_spec("lm_eval") is not None


def composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("benchmark", ["model.path=any/model", *overrides])


def test_all_are_all_there_are() -> None:
    assert list(composed("benchmarks=all").benchmarks) == NAMES
    files = {path.stem for path in (CONF / "benchmarks").glob("*.yaml")}
    assert files == {*NAMES, "all", "none"}


@pytest.mark.parametrize("name", ROWS)
def test_the_public_file_of_each_is_read(shared: Path, name: str) -> None:
    plan = resolved(composed(f"benchmarks={name}", f"data_dir={shared / 'data'}"))
    benchmarks, documents = build_benchmarks(plan)
    assert list(benchmarks) == [name]
    assert len(documents[name].rows) == ROWS[name]


def test_the_hub_needs_no_file() -> None:
    benchmarks, documents = build_benchmarks(resolved(composed("benchmarks=[math,arc]", "data_dir=null")))
    assert [list(benchmark.tasks) for benchmark in benchmarks.values()] == [["hendrycks_math"], ["arc_challenge"]]
    assert documents == {}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["benchmarks=none"], r"benchmarks is missing: choose arc, gsm8k, or a list of them"),
        (["limit=0"], "limit is 0: it must be a whole number above 0, or null for all"),
        (["limit=0.5"], "limit is 0.5"),
        (["num_fewshot=-1"], "num_fewshot is -1"),
        (["batch_size=many"], "batch_size is 'many': it must be a whole number above 0, or auto"),
        (["chat_template=1"], "chat_template is 1: it must be true or false"),
        (["model.path=./nowhere"], r"model\.path: \./nowhere"),
        (["model.dtype=int8"], "model.dtype is .int8.: choose float32"),
        (["+benchmarks.gsm8k.files=x"], r"benchmarks\.gsm8k\.files: Benchmark takes no such argument"),
        (["+sandbox.time=3"], r"sandbox\.time: Sandbox takes no such argument"),
    ],
)
def test_a_wrong_value_is_named(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        benchmark_plan(composed("benchmarks=gsm8k", *overrides), ["gsm8k", "arc"])


def test_a_missing_folder_or_file_is_named(tmp_path: Path) -> None:
    plan = resolved(composed("benchmarks=gsm8k", f"data_dir={tmp_path / 'none'}"))
    with pytest.raises(UserError, match=r"there is no such folder; name the folder .* data_dir=null"):
        build_benchmarks(plan)
    with pytest.raises(UserError, match=r"benchmarks\.gsm8k\.file: .*train\.jsonl: no such file"):
        build_benchmarks({**plan, "data_dir": str(tmp_path)})


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    done = cgpo("benchmark", "benchmarks=[gsm8k,mpbb]", "model.path=m", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: benchmarks=mpbb: there is no such choice; choose all, arc, gsm8k,")


@pytest.mark.skipif(HAS_HARNESS, reason="the extra lm-eval is installed")
def test_without_the_extra_it_is_named() -> None:
    with pytest.raises(UserError, match=r"lm-eval, .* is missing: pip install 'cgpo\[lm-eval\]'"):
        benchmark_plan(composed("benchmarks=gsm8k"), ["gsm8k"])


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
    assert found["command"][:4] == ["cgpo", "benchmark", line[0], line[1]]
    samples = [json.loads(row) for row in (tmp_path / "out/samples.jsonl").read_text().splitlines()]
    assert [sample["task"] for sample in samples] == ["humaneval"] * 2 + ["ifeval"] * 2 + ["arc_challenge"] * 2
    assert len(samples[-1]["choices"]) == 4

    again = cgpo("benchmark", *line, "benchmarks=[arc]", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr.startswith("error: out holds a run already")
