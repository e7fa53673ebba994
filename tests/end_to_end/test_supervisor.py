"""Several processes that one command started end together, whatever ends them, and sweeps start them anew."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.end_to_end.tiny import environment_in
from tests.processes import Forked, is_alive, until, wait_for_the_end_of

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
        if trouble == "stand":
            unfinished = Path(f"unfinished-{rank}")
            unfinished.write_text(str(os.getpid()))
            unfinished.rename(f"process-{rank}")
            time.sleep(600)
        if rank == 1 and trouble == f"error with seed {pl_module.seed}":
            raise UserError("tasks.engagement: this cannot go on")
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
def started(folder: Path, policy: Path, *arguments: str, trouble: str = "") -> Iterator[Forked]:
    """The command in a folder that has its callback; all of its processes are gone in the end."""
    (folder / "trouble.py").write_text(CALLBACK)
    environment = environment_in(folder, PYTHONPATH=str(folder), OMP_NUM_THREADS="1", TROUBLE=trouble)
    process = Forked("cgpo.train", [*arguments, *ARGUMENTS, f"model.path={policy}"], folder, environment)
    try:
        yield process
    finally:
        process.kill_group()  # its processes end with it


def workers(folder: Path, command: Forked) -> list[int]:
    """The processes' ids, once both stand."""
    files = [folder / f"process-{rank}" for rank in range(2)]
    until(lambda: command.poll() is not None or all(file.exists() for file in files))
    assert command.poll() is None, command.communicate()
    return [int(file.read_text()) for file in files]


def test_where_one_is_killed_the_others_end(tmp_path: Path, policy: Path) -> None:
    with started(tmp_path, policy, "updates=3", "hydra.run.dir=run", trouble="killed") as process:
        _, err = process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGKILL, err
    said = [line for line in err.splitlines() if line.startswith("error: ")]
    assert said == ["error: process 1 of 2 was ended by SIGKILL"], err
    assert not (tmp_path / "run/summary.json").exists()


def test_processes_do_not_outlive_the_one_that_started_them(tmp_path: Path, policy: Path) -> None:
    with started(tmp_path, policy, "updates=3", "hydra.run.dir=run", trouble="stand") as process:
        both = workers(tmp_path, process)
        assert all(map(is_alive, both))
        process.kill()
        wait_for_the_end_of(*both)


def test_in_a_sweep_one_that_fails_ends_the_others_of_its_run_alone(tmp_path: Path, policy: Path) -> None:
    """In a folder of one's own, which the processes know, too."""
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/short.yaml").write_text("# @package _global_\nupdates: 2\n")
    arguments = ["--config-dir", "mine", "-m", "experiment=short", "seed=1,2", "hydra.sweep.dir=sweep"]
    with started(tmp_path, policy, *arguments, trouble="error with seed 1") as process:
        _, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    said = [line for line in err.splitlines() if line.startswith("error: ") and "sweep/0" not in line]
    assert said == [
        "error: tasks.engagement: this cannot go on",
        "error: 1 of 2 runs failed; each one's error.txt says why",
    ], err
    failed, fine = json.loads((tmp_path / "sweep/sweep.json").read_text())
    assert failed["error"].startswith("one of its processes failed, with status 1")
    assert (fine["seed"], fine["updates"], fine["processes"]) == (2, 2, 2)
    assert (tmp_path / "sweep/1/policy/model.safetensors").exists()
    assert not (tmp_path / "runs").exists()
