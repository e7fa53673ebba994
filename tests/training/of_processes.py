"""A run's processes for tests: started together, and killed together if one fails or they take too long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(count: int, module: str, *arguments: str, folder: Path, **environment: str) -> list[subprocess.Popen[str]]:
    """`python -m module …` as each of some processes, which meet in a file of the folder and write what they say there.

    Each leads a process group of its own.
    """
    return [_start(rank, count, module, arguments, folder, environment) for rank in range(count)]


def together(count: int, module: str, *arguments: str, folder: Path, seconds: float = 240) -> None:
    """Runs them to their end; fails with what they said where one of them fails or is too late."""
    processes = start(count, module, *arguments, folder=folder)
    try:
        _wait(processes, time.monotonic() + seconds)
        statuses = [process.poll() for process in processes]
    finally:
        kill(processes)
    said = "\n".join((folder / f"said-by-{rank}.txt").read_text() for rank in range(count))
    assert statuses == [0] * count, f"exit statuses {statuses}\n{said}"


def kill(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Kills those that still run, with all that they started."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(
    rank: int, count: int, module: str, arguments: Sequence[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[str]:
    rendezvous = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    meeting = {"CGPO_RENDEZVOUS": f"file://{folder}/meeting"}
    with (folder / f"said-by-{rank}.txt").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **rendezvous, **meeting, "OMP_NUM_THREADS": "1", **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def _wait(processes: Sequence[subprocess.Popen[str]], deadline: float) -> None:
    """Until all have ended, one has failed, or it is too late."""
    while time.monotonic() < deadline:
        statuses = [process.poll() for process in processes]
        if None not in statuses or any(statuses):
            return
        time.sleep(0.1)
