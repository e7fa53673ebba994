"""Several processes that one command started end together, whatever ends them, and sweeps start them anew."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cgpo.runs.launcher import GRACE_SECONDS
from cgpo.stages.suite import SuitePolicy

CALLBACK = '''
import os
import signal
import time
from pathlib import Path

from cgpo.errors import UserError
from cgpo.training.observer import Observer


class Trouble(Observer):
    """Trouble from the second update on, mostly in the second process."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        trouble, rank = os.environ.get("TROUBLE"), trainer.global_rank
        if batch_idx == 0 or trouble is None:
            return
        if trouble in ("slow", "stand"):
            unfinished = Path(f"unfinished-{rank}")
            unfinished.write_text(str(os.getpid()))
            unfinished.rename(f"process-{rank}")
            time.sleep({"slow": 0.1, "stand": 600}[trouble])
        if rank == 1 and trouble == "error":
            raise UserError("tasks.engagement: this cannot go on")
        if rank == 1 and trouble == "crash":
            raise ValueError("a defect")
        if rank == 1 and trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
'''
ARGUMENTS = [
    "tasks=engagement",
    "judges=none",
    "tasks.engagement.judges=[]",
    "reward=constant",
    "tasks.engagement.reward=constant",
    "pipeline=none",
    "logger=none",
    "trainer=ddp",
    "trainer.devices=2",
    "trainer.threads=1",
    "rollout.max_new_tokens=8",
    "data.engagement.train_size=32",
    "data.engagement.held_out_size=4",
    "callbacks.evaluation.prompts=3",
    "+callbacks.trouble._target_=trouble.Trouble",
]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    SuitePolicy(layers=1).load().save(folder)
    return folder


@contextmanager
def started(folder: Path, policy: Path, *arguments: str, trouble: str = "") -> Iterator[subprocess.Popen[str]]:
    """The command in a folder that has its callback; all of its processes are gone in the end."""
    (folder / "trouble.py").write_text(CALLBACK)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cgpo.train", *arguments, *ARGUMENTS, f"model.path={policy}"],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1", **({"TROUBLE": trouble} if trouble else {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    group = process.pid
    try:
        yield process
    finally:
        # Also where the command itself has ended: its processes may not have.
        while process.poll() is None or _group_is_there(group):
            os.killpg(group, signal.SIGKILL)
            process.wait()
            time.sleep(0.1)


def _group_is_there(group: int) -> bool:
    return any(
        _alive(int(found.name)) and os.getpgid(int(found.name)) == group for found in Path("/proc").glob("[0-9]*")
    )


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers(folder: Path, command: subprocess.Popen[str]) -> list[int]:
    """The processes' ids, once both stand."""
    files = [folder / f"process-{rank}" for rank in range(2)]
    until(lambda: command.poll() is not None or all(file.exists() for file in files), 120)
    assert command.poll() is None, command.stderr.read() if command.stderr else ""
    return [int(file.read_text()) for file in files]


@pytest.mark.parametrize(
    ("trouble", "status", "line"),
    [
        ("error", 1, "error: tasks.engagement: this cannot go on"),
        ("killed", 128 + signal.SIGKILL, "error: process 1 of 2 was ended by SIGKILL"),
        ("crash", 1, "[rank1]: ValueError: a defect"),
    ],
)
def test_where_one_fails_the_others_end(tmp_path: Path, policy: Path, trouble: str, status: int, line: str) -> None:
    with started(tmp_path, policy, "updates=3", "hydra.run.dir=run", trouble=trouble) as process:
        _, err = process.communicate(timeout=120 + GRACE_SECONDS)
    assert process.returncode == status, err
    assert [said for said in err.splitlines() if said.startswith("error: ") or "ValueError: " in said] == [line], err
    assert not (tmp_path / "run/summary.json").exists()


def test_a_signal_to_end_is_passed_on(tmp_path: Path, policy: Path) -> None:
    with started(tmp_path, policy, "updates=1000", "hydra.run.dir=run", trouble="slow") as process:
        both = workers(tmp_path, process)
        process.terminate()
        _, err = process.communicate(timeout=GRACE_SECONDS)
        assert process.returncode == 128 + signal.SIGTERM, err
        assert not any(map(_alive, both))


def test_processes_do_not_outlive_the_one_that_started_them(tmp_path: Path, policy: Path) -> None:
    with started(tmp_path, policy, "updates=3", "hydra.run.dir=run", trouble="stand") as process:
        both = workers(tmp_path, process)
        assert all(map(_alive, both))
        process.kill()
        until(lambda: not any(map(_alive, both)), 5)


def test_a_sweep_with_a_folder_of_one_s_own(tmp_path: Path, policy: Path) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/short.yaml").write_text("# @package _global_\nupdates: 2\n")
    arguments = ["--config-dir", "mine", "-m", "experiment=short", "seed=1,2", "hydra.sweep.dir=sweep"]
    with started(tmp_path, policy, *arguments) as process:
        _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    rows = json.loads((tmp_path / "sweep/sweep.json").read_text())
    assert [(row["seed"], row["updates"], row["processes"]) for row in rows] == [(1, 2, 2), (2, 2, 2)]
    assert (tmp_path / "sweep/1/policy/model.safetensors").exists()
    assert not (tmp_path / "runs").exists()
