"""Several processes of one machine: started together, ended together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from cgpo.distributed.rendezvous import RENDEZVOUS, supervised

LAUNCHER = "CGPO_LAUNCHER"
"""The launcher's process id."""
GRACE_SECONDS = 20.0
"""What the other processes are given once one has failed."""
_LOST = ("hydra.run.dir", "hydra.sweep", "hydra.mode", "hydra.launcher", "hydra.sweeper", "hydra/")
_PR_SET_PDEATHSIG = 1


def launch(command: Sequence[str], folder: Path, devices: int) -> None:
    """Runs a command as several processes that train together, with the overrides of this one, and waits for them.

    A signal to end is passed on to all; a second one kills them. Where one fails the others are ended; where this
    process is killed, they are.

    Args:
        command: without overrides.
        folder: of the run.
        devices: how many processes.

    Raises:
        SystemExit: with the status of the first that failed, or of the signal that ended them.
    """
    with tempfile.TemporaryDirectory() as meeting:
        shared = {
            **os.environ,
            "WORLD_SIZE": str(devices),
            RENDEZVOUS: f"file://{meeting}/processes",
            LAUNCHER: str(os.getpid()),
        }
        whole = [*command, *_arguments(folder)]
        with _signals() as received:
            workers = [_start(whole, shared, rank) for rank in range(devices)]
            try:
                failed = _wait(workers, received)
            finally:
                for worker in workers:
                    worker.kill()
                    worker.wait()
    if failed is not None:
        sys.exit(failed)


def end_with_launcher() -> None:
    """Ends this process with the one that launched it, however that ends."""
    if not supervised() or LAUNCHER not in os.environ:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[LAUNCHER]):
        sys.exit("error: the process that started this one is gone")


def _arguments(folder: Path) -> list[str]:
    """The command line of this run, of which Hydra may have composed several."""
    hydra: Any = HydraConfig.get()
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    kept = [override for override in hydra.overrides.hydra if not override.lstrip("+~").startswith(_LOST)]
    return [
        *(f"--config-dir={path}" for path in folders),
        f"--config-name={hydra.job.config_name}",
        *hydra.overrides.task,
        *kept,
        f"hydra.run.dir={folder}",
        "hydra.output_subdir=null",
    ]


def _start(command: Sequence[str], shared: Mapping[str, str], rank: int) -> subprocess.Popen[bytes]:
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    # In a process group of its own: Ctrl-C reaches it once, by way of the launcher.
    return subprocess.Popen(command, env={**shared, **own}, stdin=subprocess.DEVNULL, process_group=0)


@contextmanager
def _signals() -> Generator[list[int]]:
    """The signals to end that arrive meanwhile."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(workers: Sequence[subprocess.Popen[bytes]], received: list[int]) -> int | None:
    """The exit status of the first that failed, once all have ended; `None` where none did."""
    failed: int | None = None
    deadline = float("inf")
    asked = False
    while True:
        while received:
            number = received.pop(0)
            for worker in workers:
                # Whoever asks twice does not want to wait for an update's end.
                worker.send_signal(signal.SIGKILL if asked else number)
            if asked:
                print("stopped at once", file=sys.stderr, flush=True)
                return 128 + number
            asked = True
        ended = [worker.poll() is not None for worker in workers]
        if failed is None and (rank := _first_failed(workers)) is not None:
            deadline = time.monotonic() + GRACE_SECONDS
            failed = _status(workers[rank].returncode)
            if workers[rank].returncode < 0:
                name = signal.Signals(-workers[rank].returncode).name
                print(f"error: process {rank} of {len(workers)} was ended by {name}", file=sys.stderr, flush=True)
        if all(ended) or time.monotonic() > deadline:
            return failed
        time.sleep(0.1)


def _first_failed(workers: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """The rank of a process that has ended otherwise than well."""
    return next((rank for rank, worker in enumerate(workers) if worker.returncode), None)


def _status(code: int) -> int:
    return 128 - code if code < 0 else code
