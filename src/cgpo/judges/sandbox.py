"""Runs untrusted programs against tests inside bubblewrap, from a warm process: one fork of it a run.

No network, no files but a read-only Python and a private `/tmp`, no environment, no capabilities, limits on memory,
processes, file sizes and time. Works as root (which first becomes uid 65534) and as an ordinary user.
`cgpo.judges.inside` says why a pass cannot be forged.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from cgpo.errors import UserError

_NOBODY = "65534"
_START_SECONDS = 20.0
_GRACE_SECONDS = 5.0
_INSIDE = ("wire", "program", "tester", "zygote")
_BOOTSTRAP = """
import sys, json, types
sys.path[:] = [p for p in sys.path if p]
sources, fds, limits = json.loads(sys.argv.pop())
for name in ("cgpo", "cgpo.judges", "cgpo.judges.inside"):
    sys.modules[name] = types.ModuleType(name)
for name, source in sources:
    module = sys.modules["cgpo.judges.inside." + name] = types.ModuleType("cgpo.judges.inside." + name)
    setattr(sys.modules["cgpo.judges.inside"], name, module)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
module.main(fds, limits)
"""


class SandboxError(RuntimeError):
    """The sandbox itself failed: this says nothing about the program."""


@dataclass(frozen=True)
class Tests:
    """What a program is run against.

    Attributes:
        sources: each one test: an assertion, or with `entry_point` the definition of `check(candidate)`.
        setup: run before the tests, and before the program.
        entry_point: the function that is handed to `check`; empty where the tests call by name.
        prefix: trusted code whose names the tests may use.
    """

    sources: tuple[str, ...]
    setup: str = ""
    entry_point: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Report:
    """What became of a program.

    Attributes:
        problems: for each test that was run, `None` or the problem in a line.
        timed_out: the run was ended at its time limit.
        load_problem: why the program could not be loaded.
        complete: the tester came to the end of its tests.
        judge_problem: the tests ask for something that the sandbox cannot do.
    """

    problems: tuple[str | None, ...]
    timed_out: bool
    load_problem: str | None
    complete: bool
    judge_problem: str | None


class Sandbox:
    """One warm sandbox; runs one program at a time, so use one for each thread.

    Args:
        timeout: wall-clock seconds a run.
        memory_mb: address space of each process of a run.
        processes: most processes and threads of a run.

    Raises:
        UserError: this machine cannot isolate programs; the message says what to install or to enable.
    """

    def __init__(self, timeout: float = 5.0, memory_mb: int = 512, processes: int = 24) -> None:
        self._limits = {"seconds": timeout, "bytes": memory_mb << 20, "processes": processes}
        self._process: subprocess.Popen[bytes] | None = None
        self._fds: dict[str, int] = {}
        self._python = _usable_python()
        self.start()

    def start(self) -> None:
        """Starts the warm process, if it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        inner: dict[str, int] = {}
        for name in ("control", "programs", "tests"):
            inner[name], self._fds[name] = os.pipe()
        for name in ("report", "status"):
            self._fds[name], inner[name] = os.pipe()
        sources = [(name, (files("cgpo.judges.inside") / f"{name}.py").read_text()) for name in _INSIDE]
        arguments = json.dumps([sources, inner, self._limits])
        self._process = subprocess.Popen(
            [*_isolated(self._python), "-c", _BOOTSTRAP, arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=list(inner.values()),
            start_new_session=True,
        )
        for fd in inner.values():
            os.close(fd)
        for fd in self._fds.values():
            os.set_blocking(fd, False)
        if self._read("status", time.monotonic() + _START_SECONDS) != b"r":
            self.close()
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
        work = {"tests": tests.sources, "setup": tests.setup, "entry_point": tests.entry_point, "prefix": tests.prefix}
        try:
            self._write("control", b"g", deadline)
            self._write("programs", _frame({"program": program, "setup": tests.setup}), deadline)
            self._write("tests", _frame({**work, "nonce": nonce}), deadline)
            status, report = self._collect(deadline)
        except (OSError, SandboxError) as error:
            self.close()
            raise SandboxError(f"the sandbox failed: {error}") from None
        return _report(report, nonce, len(tests.sources), timed_out=status == b"t")

    def close(self) -> None:
        """Ends the warm process and everything in it."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _collect(self, deadline: float) -> tuple[bytes, bytes]:
        """The status byte that ends a run, and all that the tester reported until then."""
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


def _frame(message: Any) -> bytes:
    data = json.dumps(message).encode()
    return struct.pack("<I", len(data)) + data


def _report(data: bytes, nonce: str, count: int, timed_out: bool) -> Report:
    """Reads the tester's frames; one cut off in the middle, by a kill, is left out."""
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
    return Report(tuple(problems), timed_out, load_problem, complete, judge_problem)


def _isolated(python: str) -> list[str]:
    """The command that starts a Python inside bubblewrap."""
    prefix = str(Path(python).parent.parent)
    become = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*become, "bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    command += ["--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    if not prefix.startswith("/usr"):
        command += ["--ro-bind", prefix, prefix]
    command += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--size", str(64 << 20), "--tmpfs", "/tmp"]
    command += ["--remount-ro", "/"]
    command += ["--chdir", "/tmp", "--setenv", "PATH", "/usr/bin", "--setenv", "PYTHONHASHSEED", "0"]
    return [*command, python, "-s", "-S", "-B"]


def _usable_python() -> str:
    """A Python that starts inside the sandbox; as root one that an ordinary user may read.

    Raises:
        UserError: there is none, or the machine lacks what isolation needs.
    """
    for tool, package in (("bwrap", "bubblewrap"), ("setpriv", "util-linux")):
        if shutil.which(tool) is None and (tool == "bwrap" or os.geteuid() == 0):
            raise UserError(f"the code judge needs {tool} to isolate programs: apt-get install {package}")
    own = os.path.realpath(sys.executable)
    problem = ""
    for python in dict.fromkeys([own, *map(os.path.realpath, ("/usr/bin/python3", "/usr/local/bin/python3"))]):
        if not os.path.exists(python):
            continue
        tried = subprocess.run(
            [
                *_isolated(python),
                "-c",
                "import sys; sys.exit(0 if sys.version_info >= (3, 9) else 'Python is too old')",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
        )
        if tried.returncode == 0:
            return python
        problem = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
    raise UserError(
        f"the code judge cannot isolate programs here ({problem}): it needs bubblewrap 0.8 or later, user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 kernel.apparmor_restrict_unprivileged_userns=0; "
        "in Docker --security-opt seccomp=unconfined) and, as root, a Python that all may read (/usr/bin/python3)"
    )
