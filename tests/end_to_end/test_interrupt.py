"""Ctrl-C: a run saves itself and says how to go on, and a second one does not wait."""

import os
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.end_to_end.tiny import environment_in
from tests.processes import Forked

from cgpo.stages.suite import SuitePolicy

CALLBACK = '''
import os
import time
from pathlib import Path

from cgpo.training.observer import Observer


class Slow(Observer):
    """Says where a run is, and takes its time there."""

    def on_stage_start(self, module, stage, expert):
        self.wait(f"{stage}-{module.global_step}", module)

    def wait(self, place, module):
        if place == os.environ.get("PLACE"):
            Path(f"process-{module.global_rank}").touch()
            for _ in range(int(float(os.environ["SECONDS_THERE"]) * 20)):
                time.sleep(0.05)
'''
ARGUMENTS = [
    "tasks=engagement",
    "judges=none",
    "reward=constant",
    "tasks.engagement.reward=constant",
    "pipeline=none",
    "logger=none",
    "trainer.threads=1",
    "updates=4",
    "rollout.max_new_tokens=8",
    "data.engagement.train_size=32",
    "data.engagement.held_out_size=4",
    "callbacks.evaluation.prompts=3",
    "+callbacks.slow._target_=slow.Slow",
]
ONE, TWO = (), ("trainer=ddp", "trainer.devices=2")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    SuitePolicy(layers=1).load().save(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(CALLBACK)
    return tmp_path


@contextmanager
def started(folder: Path, line: list[str], place: str, seconds: float) -> Iterator[Forked]:
    """The command, once all of its processes have come to a place in the run."""
    own = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PLACE": place, "SECONDS_THERE": str(seconds)}
    process = Forked(line[2], line[3:], folder, environment_in(folder, **own))
    deadline = time.monotonic() + 120
    files = [folder / f"process-{rank}" for rank in range(2 if "trainer=ddp" in line else 1)]
    try:
        while place and not all(file.exists() for file in files):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill_group()


def line_of(policy: Path, *arguments: str) -> list[str]:
    return ["python", "-m", "cgpo.train", f"model.path={policy}", *arguments, *ARGUMENTS]


def says(process: Forked, words: str) -> None:
    """Waits for some words."""
    while words not in process.said():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("processes", [ONE, TWO], ids=["one", "two"])
def test_it_saves_and_names_the_command_that_goes_on(folder: Path, policy: Path, processes: tuple[str, ...]) -> None:
    line = line_of(policy, *processes)
    with started(folder, line, "rollout-2", seconds=1) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Ctrl-C: the run ends after this update and is saved; once more stops it at once\n" in out
    (saved,) = (
        line for line in out.splitlines() if line.startswith("Ctrl-C: the run ends after 3 of 4 updates, saved")
    )
    assert Path(saved.rpartition(" saved in ")[2]).is_dir()
    (again,) = (line.removeprefix("to go on: ") for line in out.splitlines() if line.startswith("to go on: "))
    assert shlex.split(again) == [*line, "trainer.resume=auto"]
    if processes == ONE:
        with started(folder, shlex.split(again), "", seconds=0) as process:
            out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert "goes on after update 3\n" in out
        (run,) = (folder / "runs").glob("*/*")
        assert (run / "summary.json").is_file()


@pytest.mark.parametrize("processes", [ONE, TWO], ids=["one", "two"])
def test_a_second_one_stops_at_once(folder: Path, policy: Path, processes: tuple[str, ...]) -> None:
    with started(folder, line_of(policy, *processes), "rollout-2", seconds=600) as process:
        process.send_signal(signal.SIGINT)
        says(process, "once more stops it")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.strip() == "stopped at once"


@pytest.mark.parametrize("place", ["evaluation-0", "evaluation-4"], ids=["before", "after"])
def test_where_there_is_nothing_to_save_it_says_how_to_go_on(folder: Path, policy: Path, place: str) -> None:
    with started(folder, line_of(policy), place, seconds=600) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == ""
    assert "Ctrl-C: the run is stopped\n" in out
    assert "to go on: python -m cgpo.train " in out
    assert os.path.exists(folder / "runs")


def test_a_sweep_ends_and_names_its_folder(folder: Path, policy: Path) -> None:
    line = line_of(policy, "-m", "seed=0,1")
    with started(folder, line, "rollout-2", seconds=1) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    (again,) = (line.removeprefix("to go on: ") for line in out.splitlines() if line.startswith("to go on: "))
    with started(folder, shlex.split(again), "", seconds=0) as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "goes on after update 3\n" in out
    (sweep,) = (folder / "runs").glob("*/*")
    assert (sweep / "sweep.json").is_file()
    assert (sweep / "1/summary.json").is_file()
