"""Training a task of one's own, as a person would write it: at most 15 lines from import to summary."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.api.parts import tiny_folder
from tests.processes import meeting_place, together

import cgpo

SCRIPT = """
import cgpo

rows = [{"prompt": f"w{4 + a} w{4 + b}", "answer": str(a + b)} for a in range(10) for b in range(6)]
task = cgpo.Task(
    "sums",
    prompts=cgpo.read_prompts(rows),
    reward=cgpo.RewardModel(lambda sample: -len(sample.response)),
    judges=[cgpo.MathJudge()],
    optimizer=cgpo.CRPG(kl_max=16),
    max_new_tokens=8,
)
run = cgpo.fit("tiny", tasks=[task], updates=2, folder="runs/sums")
print(run.summary)
"""


def test_fifteen_lines_in_a_plain_process(tmp_path: Path) -> None:
    assert len([line for line in SCRIPT.splitlines() if line.strip()]) <= 15
    tiny_folder(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "sums: reward" in ended.stdout
    assert (tmp_path / "runs" / "sums" / "summary.json").is_file()


def test_processes_that_were_started_as_torchrun_does_share_the_work(tmp_path: Path) -> None:
    tiny_folder(tmp_path)
    for count, name, strategy in ((1, "alone", "single"), (2, "shared", "ddp")):
        arguments = [str(tmp_path), str(tmp_path / name), strategy]
        environment = {**os.environ, **meeting_place()}
        together(count, "tests.api.sharing", *arguments, folder=tmp_path, environment=environment)
    alone, shared = (cgpo.load_run(tmp_path / name).summary for name in ("alone", "shared"))
    assert alone is not None
    assert shared is not None
    assert (alone["processes"], shared["processes"]) == (1, 2)
    for task, found in shared["tasks"].items():
        assert found["after"]["reward"] == pytest.approx(alone["tasks"][task]["after"]["reward"], abs=1e-5)
