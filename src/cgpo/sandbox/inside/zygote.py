"""The warm process, number 1 of the sandbox, from which every run is forked. It reads neither programs nor tests.

Program and tester of a run are forked at the end of the previous run, so that nobody waits for a fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from cgpo.sandbox.inside import process_tree, program, script, seccomp, streams, tester
from cgpo.sandbox.inside.messages import Link

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_LOOK_SECONDS = 0.01


def main(fds: dict[str, int], limits: dict[str, Any]) -> None:
    """Serves runs until the parent closes the control pipe.

    Args:
        fds: `control` (one byte starts a run), `programs` and `tests` (frames, each read by its own process),
            `report` (written by the tester) and `status` (two bytes end a run: how it ended, and `c` if nothing is
            left of it).
        limits: `seconds`, `bytes` and `processes` of a run, the `folder` that it may write to, and whether this
            process is `alone` in its namespace.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody inside reads or traces this process or its forks
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # daemons become its children, where it can find them
    seccomp.install()
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):  # the first process of a namespace is immune to what it leaves
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as in any Python: writing to a dead process raises
    for name in tester.STANDARD:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork's collector leaves the shared pages alone: to look at them is to copy them
    os.chdir(limits["folder"])
    os.write(fds["status"], b"r")
    tester_pid = _fork_pair(fds, limits)
    while os.read(fds["control"], 1):
        ended = _wait(tester_pid, limits)
        process_tree.kill_everything(limits["alone"])
        os.write(fds["status"], ended)
        os.write(fds["status"], b"c" if process_tree.wiped(limits["folder"]) else b"d")
        tester_pid = _fork_pair(fds, limits)
    process_tree.kill_everything(limits["alone"])


def _fork_pair(fds: dict[str, int], limits: dict[str, Any]) -> int:
    """Forks program and tester of the next run, which wait for their work, and returns the tester's process id."""
    ours, theirs = socket.socketpair()
    program_fd, tester_fd = ours.detach(), theirs.detach()

    def be_program() -> None:
        work = Link(fds["programs"], -1).receive()
        process_tree.close_all_but(program_fd)
        process_tree.limit(limits)
        serve = script.serve if work["script"] else program.serve
        serve(Link(program_fd, program_fd), work)

    def be_tester() -> None:
        work = Link(fds["tests"], -1).receive()
        process_tree.close_all_but(tester_fd, fds["report"])
        process_tree.limit(limits)
        run = streams.run if work["inputs"] else tester.run
        run(Link(tester_fd, tester_fd), Link(-1, fds["report"]), work)

    _fork(be_program)
    child = _fork(be_tester)
    os.close(program_fd)
    os.close(tester_fd)
    return child


def _wait(child: int, limits: dict[str, Any]) -> bytes:
    """Waits for the tester; returns `f` if it finished, `t` at the time limit, `m` at the memory limit."""
    watch = os.pidfd_open(child)
    deadline = time.monotonic() + limits["seconds"]
    try:
        while (left := deadline - time.monotonic()) > 0:
            if select.select([watch], [], [], min(left, _LOOK_SECONDS))[0]:
                return b"f"
            if process_tree.memory(limits) > limits["bytes"]:
                return b"m"
        return b"t"
    finally:
        os.close(watch)


def _fork(role: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        exec(compile("assert [1]", "<warm>", "exec"), {})  # what it will need is copied while nobody waits for it
        role()
    finally:
        os._exit(0)
