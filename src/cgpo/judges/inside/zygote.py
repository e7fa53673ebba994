"""The warm process, number 1 of the sandbox, from which every run is forked. It reads neither program nor tests."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import select
import shutil
import signal
import socket
from collections.abc import Callable
from typing import Any

from cgpo.judges.inside import program, tester
from cgpo.judges.inside.wire import Link

_PR_SET_DUMPABLE = 4


def main(fds: dict[str, int], limits: dict[str, Any]) -> None:
    """Serves runs until the parent closes the control pipe.

    Args:
        fds: `control` (one byte starts a run), `programs` and `tests` (frames, each read by its own process),
            `report` (written by the tester) and `status` (one byte ends a run).
        limits: `seconds`, `bytes`, `processes`.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody inside reads or traces this process or its forks
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(
                number, signal.SIG_DFL
            )  # the first process of a namespace is immune to what it does not handle
    for name in tester.STANDARD:
        importlib.import_module(name)
    os.write(fds["status"], b"r")
    while os.read(fds["control"], 1):
        finished = _one_run(fds, limits)
        os.write(fds["status"], b"f" if finished else b"t")
        _wipe("/tmp")  # where this fails the sandbox ends, and the next run starts a new one


def _one_run(fds: dict[str, int], limits: dict[str, Any]) -> bool:
    """Forks program and tester; whether the tester ended in time. Nothing of a run outlives it."""
    ours, theirs = socket.socketpair()
    program_fd, tester_fd = ours.detach(), theirs.detach()

    def be_program() -> None:
        work = Link(fds["programs"], -1).receive()
        _close_all_but(program_fd)
        _limit(limits)
        program.serve(Link(program_fd, program_fd), work["program"], work["setup"])

    def be_tester() -> None:
        work = Link(fds["tests"], -1).receive()
        _close_all_but(tester_fd, fds["report"])
        _limit(limits)
        tester.run(Link(tester_fd, tester_fd), Link(-1, fds["report"]), work)

    _fork(be_program)
    child = _fork(be_tester)
    os.close(program_fd)
    os.close(tester_fd)
    watch = os.pidfd_open(child)
    finished = bool(select.select([watch], [], [], limits["seconds"])[0])
    os.close(watch)
    _kill_everything()
    return finished


def _fork(role: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        role()
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    last = 2
    for fd in sorted(kept):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, 1024)


def _limit(limits: dict[str, Any]) -> None:
    for name, value in [
        ("CPU", int(limits["seconds"]) + 1),
        ("AS", limits["bytes"]),
        ("FSIZE", 1 << 24),
        ("NOFILE", 64),
        ("NPROC", limits["processes"]),
        ("CORE", 0),
        ("MEMLOCK", 0),
    ]:
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _kill_everything() -> None:
    """Kills every other process of the sandbox, and waits for the last."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _wipe(folder: str) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)
            for parent, _, _ in os.walk(entry.path):
                for inner in os.scandir(parent):
                    if inner.is_dir(follow_symlinks=False):
                        os.chmod(inner.path, 0o700)
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
