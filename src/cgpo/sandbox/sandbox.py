"""Runs untrusted programs against tests in forks of a warm process that is shut off from the machine.

`cgpo.sandbox.isolation` describes what the process cannot reach, `cgpo.sandbox.inside` why a pass cannot be forged.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import secrets
import select
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from cgpo.errors import UserError
from cgpo.sandbox import inside
from cgpo.sandbox.inside import messages, process_tree, program, script, seccomp, streams, tester, zygote
from cgpo.sandbox.isolation import BUBBLEWRAP, NONE, isolated_python, private_folder

_START_SECONDS = 20.0
_GRACE_SECONDS = 5.0
_INSIDE = (messages, script, program, streams, tester, seccomp, process_tree, zygote)
"""The modules of the warm process, each after those that it imports; the last one contains `main`."""
_BOOTSTRAP = """
import sys, json, types
sys.path[:] = [p for p in sys.path if p]
sources, fds, limits = json.loads(sys.argv.pop())
for name, source in sources:
    parent, _, own_name = name.rpartition(".")
    module = sys.modules[name] = types.ModuleType(name)
    if parent:
        setattr(sys.modules[parent], own_name, module)
    if source is not None:
        exec(compile(source, own_name + ".py", "exec"), module.__dict__)
module.main(fds, limits)
"""


class SandboxError(RuntimeError):
    """The sandbox itself failed, which says nothing about the program."""


@dataclass(frozen=True)
class Tests:
    """The tests that a program is run against.

    Attributes:
        sources: one entry per test: an assertion; with `entry_point` the definition of `check(candidate)`; with
            `inputs` the text that the program should print.
        setup: code that is run before the tests, and before the program.
        entry_point: the function that is passed to `check`; empty if the tests call it by name.
        prefix: trusted code whose names the tests may use; the program continues it, if the two fit together.
        inputs: for each test what the program, run as a script, reads; empty if the program is not a script.
    """

    sources: tuple[str, ...]
    setup: str = ""
    entry_point: str = ""
    prefix: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Attributes:
        problems: for each test that was run, `None` or the problem in one line.
        timed_out: whether the run was ended at its time limit.
        out_of_memory: whether the run was ended at its memory limit.
        load_problem: why the program could not be loaded, if it could not.
        complete: whether the tester reached the end of its tests.
        judge_problem: what the tests ask for that the sandbox cannot do, if anything.
    """

    problems: tuple[str | None, ...]
    timed_out: bool
    out_of_memory: bool
    load_problem: str | None
    complete: bool
    judge_problem: str | None


class Sandbox:
    """A warm sandbox that runs one program at a time, so each thread needs its own.

    Args:
        timeout: the wall-clock seconds that a run may take.
        memory_mb: the memory of a run, of all its processes and files together, and the address space of each process.
        processes: the most processes and threads of a run; without isolation, of everything that the user runs.
        isolation: `bubblewrap`, or `none_i_accept_the_risk`, which warns and continues without isolation.

    Raises:
        UserError: this machine cannot isolate programs; the message says what to install or to enable.
    """

    def __init__(
        self, timeout: float = 5.0, memory_mb: int = 512, processes: int = 24, isolation: str = BUBBLEWRAP
    ) -> None:
        self._command = isolated_python(isolation)
        self._folder = private_folder() if isolation == NONE else None
        self._limits = {
            "seconds": timeout,
            "bytes": memory_mb << 20,
            "processes": processes,
            "folder": self._folder.name if self._folder else "/tmp",
            "alone": self._folder is None,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._fds: dict[str, int] = {}
        try:
            self.start()
        except SandboxError as error:
            raise UserError(f"the code judge cannot run programs here: {error}") from None

    def start(self) -> None:
        """Starts the warm process, unless it is running."""
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        inner: dict[str, int] = {}
        for name in ("control", "programs", "tests"):
            inner[name], self._fds[name] = os.pipe()
        for name in ("report", "status"):
            self._fds[name], inner[name] = os.pipe()
        arguments = json.dumps([_sources(), inner, self._limits])
        self._process = subprocess.Popen(
            [*self._command, "-c", _BOOTSTRAP, arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=list(inner.values()),
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"},
            cwd="/",
        )
        for fd in inner.values():
            os.close(fd)
        for fd in self._fds.values():
            os.set_blocking(fd, False)
        if self._read("status", time.monotonic() + _START_SECONDS) != b"r":
            self._end()
            raise SandboxError("the sandbox does not start")

    def run(self, program: str, tests: Tests) -> Report:
        """Runs a program against tests.

        Raises:
            SandboxError: the sandbox died or hangs; the next run starts a new one.
        """
        self.start()
        seconds = float(self._limits["seconds"])
        deadline = time.monotonic() + seconds + _GRACE_SECONDS
        nonce = secrets.token_hex(16)
        script = bool(tests.inputs)
        shown = {"program": program, "prefix": tests.prefix, "setup": tests.setup, "script": script}
        hidden = {name: getattr(tests, name) for name in ("sources", "setup", "entry_point", "prefix", "inputs")}
        try:
            self._write("control", b"g", deadline)
            self._write("programs", _frame(shown), deadline)
            self._write("tests", _frame({**hidden, "nonce": nonce}), deadline)
            status, report = self._collect(deadline)
            clean = self._read("status", deadline) == b"c"
            found = _report(report, nonce, len(tests.sources), status)
        except (OSError, ValueError, SandboxError) as error:
            self._end()
            raise SandboxError(f"the sandbox failed: {error}") from None
        if not clean:
            self._end()
        return found

    def close(self) -> None:
        """Ends the warm process and everything in it, and removes its folder."""
        self._end()
        if self._folder is not None:
            self._folder.cleanup()

    def interrupt(self) -> None:
        """Kills the warm process, whatever it runs; called by another thread than that of `run`, which then fails."""
        if (process := self._process) is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _end(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _collect(self, deadline: float) -> tuple[bytes, bytes]:
        """Returns the status byte that ends a run, and everything that the tester reported until then."""
        report, control = self._fds["report"], self._fds["status"]
        parts: list[bytes] = []
        while True:
            ready, _, _ = select.select([report, control], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise SandboxError("no answer")
            if control in ready:  # the tester is dead by now: what it wrote is all there
                status = os.read(control, 1)
                if not status:
                    raise SandboxError("it died")
                with contextlib.suppress(BlockingIOError):
                    while part := os.read(report, 1 << 16):
                        parts.append(part)
                return status, b"".join(parts)
            parts.append(os.read(report, 1 << 16))

    def _read(self, name: str, deadline: float) -> bytes:
        ready, _, _ = select.select([self._fds[name]], [], [], max(deadline - time.monotonic(), 0))
        return os.read(self._fds[name], 1) if ready else b""

    def _write(self, name: str, data: bytes, deadline: float) -> None:
        while data:
            _, ready, _ = select.select([], [self._fds[name]], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise SandboxError("it does not read")
            data = data[os.write(self._fds[name], data) :]


def _sources() -> list[tuple[str, str | None]]:
    """Returns name and source of every module of the warm process, after their packages, which are empty there."""
    parts = inside.__name__.split(".")
    packages = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return [*((package, None) for package in packages), *((m.__name__, inspect.getsource(m)) for m in _INSIDE)]


def _frame(message: Any) -> bytes:
    data = json.dumps(message).encode()
    return struct.pack("<I", len(data)) + data


def _report(data: bytes, nonce: str, count: int, status: bytes) -> Report:
    """Reads the tester's frames, leaving out one that a kill cut off in the middle."""
    problems: list[str | None] = []
    load_problem = judge_problem = None
    complete = False
    while len(data) >= 4 and len(data) >= 4 + (length := struct.unpack("<I", data[:4])[0]):
        kind, content, proof = json.loads(data[4 : 4 + length])
        data = data[4 + length :]
        if proof != nonce:
            raise SandboxError("a report of another run")
        if kind == "done":
            complete = content == count == len(problems)
            continue
        if content is not None and content[0] == "judge":
            judge_problem = content[1]
        if kind == "load" and content is not None:
            load_problem = content[1]
        else:
            problems.append(None if content is None else content[1])
    return Report(tuple(problems), status == b"t", status == b"m", load_problem, complete, judge_problem)
