"""Programs of tests, as processes that are forked from one that has imported torch and the like, once for all.

`python -m module` takes five seconds before it begins. What depends on how a process begins (what is imported when,
what the environment does to libraries) is tested with real commands.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[1]
T = TypeVar("T")


class Forked:
    """A program that was started, with as much of `subprocess.Popen` as tests use; it leads a process group."""

    def __init__(self, module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.args = [sys.executable, "-m", module, *arguments]
        self._written = [_outputs() / f"{time.monotonic_ns()}-{stream}" for stream in ("out", "err")]
        become = (module, list(arguments), str(folder), dict(environment), *map(str, self._written))
        self._process = _context().Process(target=_become, args=become)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def said(self) -> str:
        """What it has written on stdout until now."""
        return self._written[0].read_text() if self._written[0].exists() else ""

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote on stdout and stderr until its end."""
        self.wait(timeout)
        out, err = (path.read_text() for path in self._written)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def kill_group(self) -> None:
        """Kills it with all that it started, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.kill()  # it may not lead its group yet
            self.wait()


def run(
    module: str,
    *arguments: str,
    folder: Path = ROOT,
    environment: Mapping[str, str] = os.environ,
    seconds: float = 280,
) -> subprocess.CompletedProcess[str]:
    """Runs a module, or a script that follows `-c`, to its end.

    Where it takes too long it is killed, with all that it started.
    """
    process = Forked(module, arguments, folder, environment)
    try:
        out, err = process.communicate(seconds)
    finally:
        process.kill_group()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def meeting_place() -> dict[str, str]:
    """What torchrun tells processes of where they meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}


def together(
    count: int,
    module: str,
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    status: int = 0,
    seconds: float = 240,
) -> list[subprocess.CompletedProcess[str]]:
    """Runs a module as each of some processes, which meet in a file of the folder, to their end.

    Where one fails, or they take too long, all are killed.

    Args:
        count: of the processes.
        module: what each is.
        *arguments: of all.
        folder: where they meet.
        environment: of all; where it has an address at which processes meet they meet there.
        status: with which all are to end.
        seconds: too long.
    """
    meeting = {} if "MASTER_ADDR" in environment else {"CGPO_RENDEZVOUS": f"file://{folder}/meeting"}
    shared = {**environment, **meeting, "WORLD_SIZE": str(count)}
    processes = [
        Forked(module, arguments, ROOT, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(count)
    ]
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline and None in (statuses := [process.poll() for process in processes]):
            if set(statuses) - {None, status}:
                break
            time.sleep(0.02)
    finally:
        for process in processes:
            process.kill_group()
    done = [subprocess.CompletedProcess(p.args, p.wait(), *p.communicate()) for p in processes]
    assert [each.returncode for each in done] == [status] * count, "\n".join(each.stderr for each in done)
    return done


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only remembered by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(look: Callable[[], T], seconds: float = 120) -> T:
    """What a look sees as soon as it sees something; the time is for what never happens, not for what is slow."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
    return seen


def wait_for_the_end_of(*pids: int) -> None:
    until(lambda: not any(map(is_alive, pids)))


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    before = dict(os.environ)
    # What libraries read when they are loaded.
    os.environ.update(
        PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]), OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1"
    )
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


@cache
def _outputs() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _become(module: str, arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    """Is `python -m module` from here on."""
    os.setsid()
    for path, stream in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, stream)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
    sys.argv[:] = [module, *arguments[1:]] if module == "-c" else [module, *arguments]
    random.seed()
    # What the process before the fork is to clean up.
    atexit._clear()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        if module == "-c":
            exec(arguments[0], {"__name__": "__main__"})
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # pyright: ignore[reportAttributeAccessIssue]
        sys.stdout.flush()
        sys.stderr.flush()
