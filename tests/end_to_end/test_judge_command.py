"""`cgpo judge` as a person types it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.tiny import cgpo, environment_in
from tests.processes import Forked

from cgpo.cli.main import find, run_verb

ROOT = Path(__file__).parents[2]
ROWS = [
    {"prompt": "1 + 1?", "response": "The final answer is 2.", "metadata": {"answer": "2"}, "label": True, "from": "a"},
    {"prompt": "1 + 2?", "response": "The final answer is 4.", "metadata": {"answer": "3"}, "label": False},
    {"prompt": "1 + 3?", "response": "\\boxed{4}", "metadata": {"answer": "4"}, "label": False},
    {"prompt": "Hello?", "response": "I'm sorry, but I can't help with that."},
]
SLOW = """
import os
import time
from cgpo.judges import Judge
from cgpo.types import Outcome, Sample, Verdict

class Slow(Judge):
    def __init__(self, unit: str) -> None:
        self._unit = unit

    def judge(self, samples):
        time.sleep(float(os.environ["PAUSE"]))
        return [Verdict(Outcome.SATISFIED, f"has {len(sample.response)} {self._unit}") for sample in samples]
"""


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "rows.jsonl", ROWS)
    return tmp_path


def test_a_file_is_judged_and_nothing_else_is_left(folder: Path) -> None:
    line = ["judges=[math,false_refusal_rules]", "input=rows.jsonl", "output=verdicts.jsonl"]
    done = cgpo("judge", *line, "judges.math.form=final_answer", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "rows.jsonl",
        "verdicts.jsonl",
        "verdicts.jsonl.summary.json",
    ]
    found = read(folder / "verdicts.jsonl")
    assert [{key: row[key] for key in given} for row, given in zip(found, ROWS, strict=True)] == ROWS
    assert [{name: v["outcome"] for name, v in row["verdicts"].items()} for row in found] == [
        {"math": "satisfied", "false_refusal_rules": "satisfied"},
        {"math": "violated", "false_refusal_rules": "satisfied"},
        {"math": "violated", "false_refusal_rules": "satisfied"},
        {"math": "not_applicable", "false_refusal_rules": "violated"},
    ]
    assert found[2]["verdicts"]["math"]["reason"] == "no final answer in the form final_answer"
    assert [row["satisfied"] for row in found] == [True, False, False, False]
    assert "verdicts on 4 rows" in done.stdout
    assert "1.0000 (" in done.stdout
    summary = json.loads((folder / "verdicts.jsonl.summary.json").read_text())
    assert summary["judges"]["math"]["against_labels"]["accuracy"]["value"] == 1
    assert summary["settings"]["judges"]["math"]["form"] == "final_answer"

    again = cgpo("judge", *line, folder=folder)
    assert again.returncode == 1
    assert again.stderr.startswith("error: verdicts.jsonl is finished")


@pytest.fixture
def slow(folder: Path) -> list[str]:
    """The command with a judge of one's own, which takes as long as one says."""
    (folder / "conf/judges").mkdir(parents=True)
    (folder / "conf/judges/slow.yaml").write_text(
        "# @package judges\nslow: {_target_: my_judges.Slow, unit: letters}\n"
    )
    (folder / "my_judges.py").write_text(SLOW)
    write(folder / "many.jsonl", [{"prompt": "p", "response": "r" * i, "label": i % 2 == 0} for i in range(40)])
    return ["--config-dir", "conf", "judges=[slow]", "input=many.jsonl", "output=verdicts.jsonl", "chunk=1"]


def begun(folder: Path, line: list[str], rows: int) -> Forked:
    """The command with a judge that takes a second a row, once it has written some rows."""
    environment = environment_in(folder, PYTHONPATH=str(folder), PAUSE="1")
    process = Forked("cgpo", ["judge", *line], folder, environment)
    output = folder / "verdicts.jsonl"
    deadline = time.monotonic() + 120
    while not output.exists() or output.read_bytes().count(b"\n") < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_killed_and_typed_again_it_comes_to_the_same(folder: Path, slow: list[str]) -> None:
    output = folder / "verdicts.jsonl"
    process = begun(folder, slow, 2)
    locked = cgpo("judge", *slow, folder=folder, PYTHONPATH=str(folder), PAUSE="0")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert locked.returncode == 1
    assert locked.stderr.startswith("error: verdicts.jsonl: another process is writing it")
    left = output.read_bytes()
    assert 2 <= left.count(b"\n") < 40

    assert "panel" in json.loads((folder / "verdicts.jsonl.state.json").read_text())["settings"]
    other = cgpo("judge", *slow, "judges.slow.unit=signs", folder=folder, PYTHONPATH=str(folder), PAUSE="0")
    assert other.stderr.startswith(
        'error: verdicts.jsonl was begun with judges.slow.unit="letters", not "signs"; finish'
    )
    # What the judges may spend is no part of what their verdicts depend on.
    done = cgpo("judge", *slow, "panel.cache=null", folder=folder, PYTHONPATH=str(folder), PAUSE="0")
    assert done.returncode == 0, done.stderr
    assert output.read_bytes().startswith(left)
    rows = read(output)
    assert [row["response"] for row in rows] == ["r" * i for i in range(40)]
    assert [row["verdicts"]["slow"]["reason"] for row in rows] == [f"has {i} letters" for i in range(40)]
    summary = json.loads((folder / "verdicts.jsonl.summary.json").read_text())
    assert summary["rows"] == 40
    assert summary["judges"]["slow"]["against_labels"]["accuracy"]["value"] == 0.5


def test_ctrl_c_says_how_to_go_on(folder: Path, slow: list[str]) -> None:
    process = begun(folder, slow, 1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "stopped; the same command goes on with verdicts.jsonl where it was left\n"


def test_the_example_makes_rows_that_are_judged_right(shared: Path, folder: Path) -> None:
    script = [sys.executable, str(ROOT / "examples/judge_rows.py"), str(shared / "data"), "made"]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = {path.stem: len(path.read_text().splitlines()) for path in (folder / "made").iterdir()}
    assert rows == {
        "ifeval_strict": 541,
        "ifeval_loose": 541,
        "ifeval_strict_instructions": 834,
        "ifeval_loose_instructions": 834,
        "gsm8k": 1320,
        "humaneval": 164,
        "mbpp": 374,
        "xstest": 450,
    }
    done = cgpo("judge", "judges=[math]", "input=made/gsm8k.jsonl", "output=verdicts.jsonl", folder=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "verdicts.jsonl.summary.json").read_text())["judges"]["math"]["against_labels"]
    assert (found["rows"], found["accuracy"]["value"], found["kappa"]["value"]) == (1320, 1, 1)


WRONG = {
    "judges=[math,cod] input=rows.jsonl output=o": ["judges=cod: there is no such choice; choose all, code, ", "code?"],
    "judges=[math] inptu=rows.jsonl output=o": ["inptu: there is no such key; choose ", "did you mean input?"],
    "optimizer=crpg judges=[math] input=rows.jsonl output=o": ["optimizer: there is no such key; choose cache_dir"],
    "judges=[math] output=o": ["input is missing: name the file of rows, input=rows.jsonl"],
    "judges=[math] input=other.jsonl output=o": ["other.jsonl: no such file"],
    "judges=[math] judges.math.form=box input=rows.jsonl output=o": ["judges.math: ", "'box' is none of boxed, "],
    "-m judges=math,code input=rows.jsonl output=o": ["-m: cgpo judge has no sweeps"],
}
"""Besides what the schema says, of which one is here; the others are in tests/config."""


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["cgpo"])
    with pytest.raises(SystemExit) as caught:
        run_verb(find("judge"), line.split(), ("cgpo", "judge"))
    message = str(caught.value.code)
    assert message.startswith("error: ")
    assert len(message.splitlines()) == 1
    assert [part for part in WRONG[line] if part not in message] == [], message
    assert [path.name for path in folder.iterdir()] == ["rows.jsonl"]
