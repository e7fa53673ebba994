"""Training a task of one's own, as a person would write it: at most 15 lines from import to summary."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.api.parts import tiny_folder

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


SHARED = """
import sys
from pathlib import Path

from tests.api.parts import fitted, task

fitted(Path(), policy="tiny", folder=sys.argv[1], tasks=[task(), task("brief")], updates=1, strategy=sys.argv[2])
"""


def test_processes_that_torchrun_started_share_the_work(tmp_path: Path) -> None:
    tiny_folder(tmp_path)
    (tmp_path / "script.py").write_text(SHARED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "script.py"]

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
        )

    for command in ((sys.executable, "script.py", "alone", "single"), (*torchrun, "shared", "ddp")):
        ended = run(*command)
        assert ended.returncode == 0, ended.stderr
    alone, shared = (cgpo.load_run(tmp_path / name).summary for name in ("alone", "shared"))
    assert alone is not None
    assert shared is not None
    assert (alone["processes"], shared["processes"]) == (1, 2)
    for task, found in shared["tasks"].items():
        assert found["after"]["reward"] == pytest.approx(alone["tasks"][task]["after"]["reward"], abs=1e-5)
