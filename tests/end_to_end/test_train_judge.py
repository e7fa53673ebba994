"""`cgpo train-judge` as a person types it."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from tests.end_to_end.tiny import cgpo

from cgpo.cli.main import find, run_verb
from cgpo.stages.suite import SuiteJudgeSamples, SuitePolicy

GIVEN = "input=rows.jsonl output=judge model.path=policy template=suite_safety"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    SuitePolicy(layers=1).load().save(tmp_path / "policy")
    rows = [
        {"prompt": sample.prompt.text, "response": sample.response, "label": satisfied}
        for sample, satisfied in SuiteJudgeSamples("safety", 400, seed=0).load()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_a_judge_is_trained_reported_and_used(folder: Path) -> None:
    settings = "held_out=0.25 fit.steps=40 fit.batch_size=32 fit.learning_rate=2e-3 fit.warmup_steps=5"
    done = cgpo("train-judge", *shlex.split(f"{GIVEN} {settings}"), folder=folder)
    assert done.returncode == 0, done.stderr
    for words in ("rows to train on", "held out", "accuracy", "Cohen's kappa", "judges.<name>.model=judge"):
        assert words in done.stdout
    training = json.loads((folder / "judge/training.json").read_text())
    accuracy = training["judges"]["suite_safety"]["against_labels"]["accuracy"]
    assert accuracy["low"] > training["majority"], "better than the more frequent label, and not by chance"

    judge = "judges=[safety] judges.safety.model=judge input=rows.jsonl output=verdicts.jsonl"
    done = cgpo("judge", *shlex.split(judge), folder=folder)
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
    right = sum(row["satisfied"] is row["label"] for row in verdicts)
    assert right / len(verdicts) > training["majority"]


CASES = {
    "": ["input is missing: name the file of labelled rows, input=rows.jsonl"],
    f"{GIVEN} template=saftey": ["judge template 'saftey': give one of "],
    f"{GIVEN} input=other.jsonl": ["other.jsonl: no such file"],
    f"""{GIVEN} 'positive=" no"'""": ["answers ' no' and ' no' are the same token"],
    f"{GIVEN} output=policy": ["output=policy is there already, and is never overwritten; choose another"],
    f"{GIVEN} -m": ["cgpo train-judge has no sweeps"],
}
"""Besides what the schema says, of which one is here; the others are in tests/config."""


@pytest.mark.parametrize("line", CASES)
def test_what_is_wrong_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["cgpo"])
    with pytest.raises(SystemExit) as caught:
        run_verb(find("train-judge"), shlex.split(line), ("cgpo", "train-judge"))
    message = str(caught.value.code)
    assert message.startswith("error: ")
    assert len(message.splitlines()) == 1
    assert [part for part in CASES[line] if part not in message] == [], message
    assert sorted(path.name for path in folder.iterdir()) == ["policy", "rows.jsonl"]
