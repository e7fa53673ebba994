"""The process of a program that is a script, which is run anew for each input, in a new process each time."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import traceback
import types
from typing import Any

from cgpo.sandbox.inside.messages import GoneError, Link

LARGEST_OUTPUT = 1 << 23
_LONGEST_ERROR = 1 << 12
_PART, _LARGEST_PIPE = 1 << 16, 1 << 20


def serve(link: Link, work: dict[str, Any]) -> None:
    """Answers each input with exit status, output and the last line of the errors, until the tester is gone."""
    with contextlib.suppress(GoneError):
        while True:
            text = link.receive()
            link.send(run(work["program"], text))


def run(program: str, text: str) -> list[Any]:
    """Runs a program as a script.

    Args:
        program: the source.
        text: what the program reads from standard input.

    Returns:
        The exit status (a signal's number, negative, if one ended it), what it printed (`None` if that is more than
        `LARGEST_OUTPUT` bytes), and the last line of what it wrote to standard error.
    """
    stdin, stdout, stderr = (os.pipe() for _ in range(3))
    child = os.fork()
    if not child:
        try:
            os.setsid()
            for number, fd in enumerate((stdin[0], stdout[1], stderr[1])):
                os.dup2(fd, number)
            os.closerange(3, 1024)
            status = _main(program)
        except BaseException:
            status = 1
        os._exit(status)
    for fd in (stdin[0], stdout[1], stderr[1]):
        os.close(fd)
    output, errors = _converse(child, text.encode("utf-8", "replace"), stdin[1], stdout[0], stderr[0])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = errors.decode("utf-8", "replace").strip().splitlines() or [""]
    return [status, None if len(output) > LARGEST_OUTPUT else output.decode("utf-8", "replace"), lines[-1][:200]]


def _main(program: str) -> int:
    """Runs the program as the interpreter would, with exit functions and threads, and returns the exit status."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["main.py"]
    status = 0
    try:
        exec(compile(program, "main.py", "exec"), module.__dict__)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if not isinstance(stop.code, (int, type(None))):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # pyright: ignore
    atexit._run_exitfuncs()  # pyright: ignore
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # the program may have closed or replaced it
            stream.flush()  # pyright: ignore
    return status & 0xFF


def _converse(child: int, text: bytes, stdin: int, stdout: int, stderr: int) -> tuple[bytes, bytes]:
    """Feeds a process and reads it until it ends, even if a grandchild keeps the pipes open."""
    watch = os.pidfd_open(child)
    parts = {stdout: bytearray(), stderr: bytearray()}
    for fd in (stdin, stdout, stderr):
        os.set_blocking(fd, False)
    reads, writes, ended = {stdout, stderr}, {stdin}, False
    while not ended and len(parts[stdout]) <= LARGEST_OUTPUT:
        readable, writable, _ = select.select([watch, *reads], writes, [])
        ended = watch in readable
        reads -= {fd for fd in reads if (ended or fd in readable) and not _read(fd, parts[fd], to_the_end=ended)}
        del parts[stderr][:-_LONGEST_ERROR]
        if writable:
            text = _write(stdin, text)
            if not text:
                writes.clear()
                os.close(stdin)
    for fd in (watch, stdout, stderr, *writes):
        os.close(fd)
    return bytes(parts[stdout]), bytes(parts[stderr])


def _read(fd: int, into: bytearray, to_the_end: bool) -> bool:
    """Reads once, or as much as a pipe can hold, and returns whether there may be more."""
    for _ in range(_LARGEST_PIPE // _PART + 1 if to_the_end else 1):
        try:
            part = os.read(fd, _PART)
        except BlockingIOError:
            return True
        if not part:
            return False
        into += part
    return True


def _write(fd: int, text: bytes) -> bytes:
    """Writes what fits, and returns the rest of the text; nothing if nobody reads it."""
    try:
        return text[os.write(fd, text[:_PART]) :]
    except BlockingIOError:
        return text
    except OSError:
        return b""
