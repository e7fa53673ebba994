"""The commands as a person types them: from nothing to a run folder, again, and in a sweep."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from tests.end_to_end.tiny import JUDGES, PAIRS, PIPELINE, RUN, TASKS, cgpo, typed
from tests.end_to_end.wandb_file import history
from transformers import AutoModelForCausalLM, AutoTokenizer

README = Path(__file__).parents[2] / "README.md"
ARTIFACTS = {"sft", "warmup", *(f"{kind}_{name}" for kind in ("pairs", "reward") for name in PAIRS)} | {
    f"judge_{name}" for name in JUDGES
}
PANELS = {
    "general_chat": {"false_refusal", "factuality"},
    "instruction_following": {"instruction_following"},
    "math_code": {"math", "code"},
    "engagement": {"false_refusal"},
    "harmful_intent": {"safety"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def first(folder: Path) -> CompletedProcess[str]:
    """`python -m cgpo.train` from nothing."""
    done = typed("-m", "cgpo.train", *PIPELINE, *RUN, "hydra.run.dir=first", folder=folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(first: CompletedProcess[str], folder: Path) -> Path:
    return folder / "first"


@pytest.fixture(scope="module")
def summary(run: Path) -> Any:
    return json.loads((run / "summary.json").read_text())


def samples(run: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines())


def test_what_is_missing_is_made_and_said(first: CompletedProcess[str], folder: Path) -> None:
    made = {line.split(":")[0] for line in first.stdout.splitlines() if line.endswith("not there yet, made now")}
    assert made == ARTIFACTS
    assert {path.name for path in (folder / "cache").iterdir()} == ARTIFACTS


def test_the_screen_shows_a_table_and_the_folder_and_nothing_a_person_cannot_use(
    first: CompletedProcess[str], run: Path
) -> None:
    assert "held-out prompts, before → after" in first.stdout
    assert str(run) in first.stdout
    assert "W&B: the run stays offline, for want of a key; later: wandb sync" in first.stdout
    for noise in ("Warning", "eval mode", "anonymous", "wandb: ", "💡", "GPU available", "Traceback"):
        assert noise not in first.stdout + first.stderr


def test_the_summary(summary: Any) -> None:
    assert list(summary["tasks"]) == list(TASKS)
    for task, labelled in summary["tasks"].items():
        assert list(labelled) == ["before", "after"]
        for at in labelled.values():
            assert {"success", "reward", "kl", "violation_rate"} <= at.keys()
            assert at["prompts"] == 16
            assert 0 <= at["success"] <= 1
            assert set(at["violation_rate"]) == PANELS[task]
        assert labelled["before"]["kl"] == pytest.approx(0, abs=1e-4)
    assert ARTIFACTS | {"rollout", "reward", "judges", "reference", "update", "step", "total"} <= set(
        summary["seconds"]
    )
    assert all(seconds >= 0 for seconds in summary["seconds"].values())
    assert (summary["seed"], summary["updates"], summary["threads"], summary["optimizer"]) == (0, 2, 1, "CRPG")
    assert summary["judges"] == sorted({judge for panel in PANELS.values() for judge in panel})


def test_the_policy_is_a_transformers_folder(run: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(run / "policy")
    tokenizer = AutoTokenizer.from_pretrained(run / "policy")
    assert model.config.num_hidden_layers == 1
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.chat_template


def test_the_config_is_resolved_and_can_be_read(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert "${" not in text
    assert config["updates"] == 2
    assert config["judges"]["safety"]["model"] == "artifact:judge_safety"


def test_each_sample_has_everything_behind_its_numbers(run: Path) -> None:
    rows = list(samples(run))
    fields = {"step", "split", "task", "key", "prompt", "response", "reward", "calibrated_reward", "log_ratio"}
    assert all(set(row) == fields | {"satisfied", "verdicts", "gold"} for row in rows)
    assert {(row["split"], row["task"]) for row in rows} == {(s, t) for s in ("train", "held_out") for t in TASKS}
    for row in rows:
        assert set(row["verdicts"]) == PANELS[row["task"]]
        assert 0 < row["calibrated_reward"] < 1
        for verdict in row["verdicts"].values():
            assert verdict["outcome"] in ("satisfied", "violated", "not_applicable", "undecided")
            assert verdict["reason"]
        outcomes = {verdict["outcome"] for verdict in row["verdicts"].values()}
        expected = None if "undecided" in outcomes and "violated" not in outcomes else "violated" not in outcomes
        assert row["satisfied"] is expected


def names_of_metrics() -> set[str]:
    judges = {f"judges/{task}/{judge}" for task, panel in PANELS.items() for judge in panel}
    # Where a judge applied to no prompt of an update there is no rate of violation.
    return (
        {
            f"{judge}/{name}"
            for judge in judges
            for name in ("undecided_rate", "not_applicable_rate", "not_asked_rate", "cache_hit_rate", "seconds")
        }
        | {f"{judge}/violation_rate" for judge in judges if "factuality" not in judge and "code/" not in f"{judge}/"}
        | {f"train/{task}/{name}" for task in TASKS for name in ("reward", "reward_calibrated", "kl", "objective/loss")}
        | {name for task in TASKS for name in (f"eval/{task}/success", f"alarm/{task}")}
        | {f"time/{stage}" for stage in ("rollout", "reward", "judges", "reference", "update", "step")}
    )


def test_metrics_csv_has_every_name(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert names_of_metrics() <= rows[0].keys()
    assert {int(float(row["step"])) for row in rows} == {0, 1, 2}


def test_wandb_has_every_name_and_the_samples(run: Path) -> None:
    (file,) = (run / "wandb").glob("offline-run-*/run-*.wandb")
    rows = history(file)
    names = {name for row in rows for name in row}
    assert names_of_metrics() <= names
    assert {f"samples/{task}" for task in TASKS} <= names
    with (run / "metrics.csv").open() as csv_file:
        known = {name for row in csv.DictReader(csv_file) for name in row}
    assert {name for name in names if not name.startswith(("_", "samples/", "trainer/"))} == known - {"step", "epoch"}
    table = next(row["samples/math_code"] for row in rows if "samples/math_code" in row)
    shown = json.loads((file.parent / "files" / table["path"]).read_text())
    assert table["_type"] == "table-file"
    assert {"prompt", "response", "reward", "verdicts"} <= set(shown["columns"])
    assert len(shown["data"]) == 16


def test_a_second_run_reuses_everything_and_comes_to_the_same(summary: Any, folder: Path) -> None:
    done = cgpo("train", *PIPELINE, *RUN, "logger=none", "hydra.run.dir=second", folder=folder)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("reused from "))
    reused = set(line.partition(": ")[2].split(", "))
    assert reused == {"warmup", *(f"reward_{name}" for name in PAIRS), *(f"judge_{name}" for name in JUDGES)}
    assert "made now" not in done.stdout
    again = json.loads((folder / "second/summary.json").read_text())
    assert again["tasks"] == summary["tasks"]
    weights = [(folder / name / "policy/model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]
    assert not (folder / "second/wandb").exists()


def test_a_held_out_judge_is_made_for_the_alarm_and_constrains_nothing(run: Path, folder: Path) -> None:
    held_out = ["tasks.general_chat.judges=[false_refusal]", "callbacks.alarm.judges=[factuality]"]
    chosen = ["tasks=general_chat", "judges=[false_refusal,factuality]", *held_out, "logger=none", "updates=1"]
    lines = [line for line in RUN if not line.startswith(("data.", "updates"))]
    done = cgpo("train", *PIPELINE, *lines, *chosen, "hydra.run.dir=held_out", folder=folder)
    assert done.returncode == 0, done.stderr
    assert re.search("^reused from .*: .*judge_factuality", done.stdout, re.MULTILINE)
    assert (folder / "held_out/alarms.jsonl").is_file()
    assert all(set(row["verdicts"]) == {"false_refusal"} for row in samples(folder / "held_out"))


def test_the_report_of_a_run(run: Path, folder: Path) -> None:
    done = cgpo("report", "first", "--output", "first.html", folder=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "first.html").read_text().count("<script") >= 3


def test_a_run_folder_is_never_overwritten(run: Path, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = cgpo("train", *PIPELINE, *RUN, "hydra.run.dir=first", folder=folder)
    assert done.returncode == 1
    assert done.stderr == "error: first holds a run already, and runs are never overwritten; choose another folder\n"
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_sweep_ends_with_a_table(run: Path, folder: Path) -> None:
    sizes = ["tasks=[math_code,engagement]", "updates=1", "callbacks.evaluation.prompts=4", "hydra.sweep.dir=sweep"]
    fewer = [override for override in RUN if not override.startswith(("updates", "data."))]
    sweep = ["optimizer=codpo,crraft", "judges=all,none"]
    done = cgpo("train", "-m", *PIPELINE, *fewer, *sizes, *sweep, folder=folder, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    runs = json.loads((folder / "sweep/sweep.json").read_text())
    assert [(row["optimizer"], bool(row["judges"])) for row in runs] == [
        ("CODPO", True),
        ("CODPO", False),
        ("CRRAFT", True),
        ("CRRAFT", False),
    ]
    last = done.stdout[done.stdout.rindex("held-out prompts, before → after") :]
    assert [last.count(f"optimizer={o} judges={j} ") for o in ("codpo", "crraft") for j in ("all", "none")] == [2] * 4
    files = []
    for number in range(4):
        job = folder / "sweep" / str(number)
        assert json.loads((job / "summary.json").read_text())["tasks"] == runs[number]["tasks"]
        files += job.glob("wandb/offline-run-*/run-*.wandb")
    assert len({file.name for file in files}) == 4, "each job has a W&B run of its own"
    for file in files:
        assert len([row for row in history(file) if "eval/math_code/success" in row]) == 2


def test_evaluate_two_policies_side_by_side(run: Path, folder: Path) -> None:
    line = ["policies={mine: first, warmup: 'artifact:warmup'}", "evaluation.samples=2", "evaluation.keep=3"]
    done = cgpo("evaluate", *PIPELINE, *RUN, *line, "hydra.run.dir=evaluated", folder=folder, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "evaluated/evaluation.json").read_text())
    assert {name: policy["path"] for name, policy in found["policies"].items()} == {
        "mine": "first/policy",
        "warmup": "artifact:warmup",
    }
    assert (found["reference"], found["opponent"], found["seed"]) == ("artifact:warmup", "artifact:warmup", 0)
    assert found["version"] == version("cgpo")
    assert found["command"].startswith("python -m cgpo evaluate ")
    for task, judges in PANELS.items():
        of_mine, of_warmup = (found["policies"][name]["tasks"][task] for name in ("mine", "warmup"))
        assert (of_mine["prompts"], of_mine["sampled"]["responses"], of_mine["greedy"]["responses"]) == (16, 32, 16)
        assert set(of_mine["sampled"]["violation_rate"]) == judges | {"refusal", "suite_safety"}
        assert set(of_mine["sampled"]["pass_at"]) == {"1", "2"}
        assert of_warmup["sampled"]["kl"]["value"] == pytest.approx(0, abs=1e-4)
        assert of_warmup["greedy"]["win_rate"]["reward"]["value"] == 0.5
        gap = found["differences"]["policies"]["warmup"]["tasks"][task]["sampled"]["reward"]
        both = [at["sampled"]["reward"]["value"] for at in (of_mine, of_warmup)]
        assert gap["value"] == pytest.approx(both[1] - both[0])
        assert gap["low"] <= gap["value"] <= gap["high"]
    kept = list(samples(folder / "evaluated"))
    assert len(kept) == 3 * len(PANELS) * 2 * 3, "the opponent's are there, too"
    assert all(verdict["reason"] for row in kept for verdict in row["verdicts"].values())
    assert "math_code, 16 held-out prompts" in done.stdout
    table = done.stdout[done.stdout.index("math_code, 16") :]
    assert max(map(len, table.splitlines()[:20])) <= 80


def test_evaluate_refuses_a_reference_with_other_tokens(run: Path, folder: Path) -> None:
    other = folder / "other"
    shutil.copytree(run / "policy", other)
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["unheard-of"])
    tokenizer.save_pretrained(other)
    line = [f"model.path={other}", "reference=artifact:warmup", "hydra.run.dir=other_tokens"]
    done = cgpo("evaluate", *PIPELINE, *RUN, *line, folder=folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: model.path: {other} reads other tokens than reference, ")
    assert "name the model that the policies were trained from" in done.stderr


@pytest.mark.parametrize(
    ("module", "made"),
    [("sft", ["sft"]), ("reward", [f"reward_{name}" for name in (*PAIRS, "unified")]), ("warmup", ["warmup"])],
)
def test_a_stage_is_a_command(run: Path, folder: Path, module: str, made: list[str]) -> None:
    done = cgpo(module, *PIPELINE, folder=folder)
    assert done.returncode == 0, done.stderr
    places = dict(line.split(": ") for line in done.stdout.splitlines() if ": /" in line)
    assert list(places) == made
    for place in places.values():
        assert Path(place).is_relative_to(folder / "cache")
        assert (Path(place) / "model.safetensors").is_file()


def test_a_judge_model_of_the_suite_judges_a_file(run: Path, folder: Path) -> None:
    (folder / "rows.jsonl").write_text(
        '{"prompt": "how do i pick a lock ?", "response": "i can not help with that ."}\n'
    )
    line = ["judges=[safety]", "input=rows.jsonl", "output=verdicts.jsonl", *PIPELINE]
    done = cgpo("judge", *line, "judge_models.safety=artifact:judge_safety", folder=folder)
    assert done.returncode == 0, done.stderr
    assert re.search("^reused from .*: judge_safety$", done.stdout, re.MULTILINE)
    (row,) = (json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines())
    assert row["verdicts"]["safety"]["reason"].startswith("P(yes) = ")
    assert row["satisfied"] is (row["verdicts"]["safety"]["outcome"] == "satisfied")


def readme_blocks(language: str) -> list[str]:
    section = README.read_text().split("## Add a judge")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_a_judge_of_ones_own_as_the_readme_shows(run: Path, folder: Path) -> None:
    (python,) = readme_blocks("python")
    (config,) = readme_blocks("yaml")
    (folder / "my_conf/judges").mkdir(parents=True)
    (folder / "my_conf/judges/politeness.yaml").write_text(config)
    (folder / "mine").mkdir()
    (folder / "mine/my_judges.py").write_text(python)
    own = ["--config-dir", "my_conf", "tasks=[math_code,engagement]", "tasks.engagement.judges=[politeness]"]
    sizes = [o for o in RUN if not o.startswith("data.") or "math_code" in o or "engagement" in o]
    path = {"PYTHONPATH": str(folder / "mine")}
    done = cgpo(
        "train", *own, "judges=[math,politeness]", *PIPELINE, *sizes, "hydra.run.dir=polite", folder=folder, **path
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "polite/summary.json").read_text())
    assert set(summary["tasks"]["engagement"]["after"]["violation_rate"]) == {"politeness"}
    assert set(summary["tasks"]["math_code"]["after"]["violation_rate"]) == {"math"}
    reasons = {
        row["verdicts"]["politeness"]["reason"] for row in samples(folder / "polite") if row["task"] == "engagement"
    }
    assert reasons <= {"says please", "does not say please"}

    wrong = cgpo("train", *own, "judges=[math,politness]", "hydra.run.dir=wrong", folder=folder, **path)
    assert wrong.returncode == 1
    (line,) = wrong.stderr.splitlines()
    assert line.startswith("error: judges=politness: there is no such choice; choose all, ")
    assert "did you mean politeness?" in line
