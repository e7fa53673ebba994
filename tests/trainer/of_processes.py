"""A run's processes for tests: started together, and killed together if they take too long."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(count: int, module: str, *arguments: str, folder: Path, **environment: str) -> list[subprocess.Popen[str]]:
    """`python -m module …` as each of some processes, which meet in a file of the folder."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "CGPO_MEETING": f"file://{folder}/meeting-{count}",
                "OMP_NUM_THREADS": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for rank in range(count)
    ]


def together(count: int, module: str, *arguments: str, folder: Path, seconds: float = 240) -> None:
    """Runs them to their end; fails with what they printed where one of them fails or is too late."""
    processes = start(count, module, *arguments, folder=folder)
    try:
        printed = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert [process.returncode for process in processes] == [0] * count, "\n".join(printed)
