"""Compares mathematical expressions in a separate process, which can be killed.

`math-verify` parses and compares; `9^{9^{9^9}}` keeps it busy for ever and `(x+y+z+w)^{500}` fills the memory. The
process (`symbolic_process.py`) starts at the first question. A fork of it compares, so that a killed fork is replaced
at once by another that has everything imported.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from cgpo.judges.math import symbolic_process

_START_SECONDS = 60.0
_PROGRAM = f"from {symbolic_process.__name__} import main; main()"
_READY = "ready"


class Symbolic:
    """Decides whether two mathematical expressions are equal, for any number of threads, one question at a time.

    Attributes:
        starts: how often the process was started, which takes a second or two. A fork that died is replaced in
            milliseconds and is not counted.

    Args:
        timeout: the seconds that a question may take.
        memory_mb: the address space of the process.
    """

    def __init__(self, timeout: float = 3.0, memory_mb: int = 2048) -> None:
        self.starts = 0
        self._timeout = timeout
        self._memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._asked = 0
        self._lock = threading.Lock()

    def same(self, truth: str, answer: str, decimals: int | None = None) -> bool:
        """Returns whether the answer equals the truth; an answer that is no mathematics does not.

        Args:
            truth: the right answer.
            answer: the other answer.
            decimals: the digits after the point to which numbers are rounded; `None` for 6.

        Raises:
            TimeoutError: the comparison did not end in time.
            RuntimeError: the comparison failed, or the process could not be started.
        """
        with self._lock:
            try:
                verdict = self._ask(truth, answer, decimals)
            except ConnectionError:  # it was killed from outside: the question is asked again
                self._end()
                try:
                    verdict = self._ask(truth, answer, decimals)
                except ConnectionError as error:
                    self._end()
                    raise RuntimeError(f"the comparison's process died: {error}") from None
        if not isinstance(verdict, bool):
            raise RuntimeError(f"the comparison failed: {verdict}")
        return verdict

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _ask(self, *question: str | int | None) -> object:
        """The answer to a question.

        It is asked again where the fork died: it may have died while it waited. Then its successor may answer the
        question that was asked before, so that each has a number.

        Raises:
            TimeoutError: there is none in time; another fork waits for the next question.
            ConnectionError: the process is gone.
        """
        process = self._running()
        assert process.stdin is not None
        deadline = time.monotonic() + self._timeout
        try:
            for _ in range(2):
                self._asked += 1
                process.stdin.write(json.dumps([self._asked, *question]).encode() + b"\n")
                while (answer := self._line(deadline)) != _READY:
                    number, verdict = answer
                    if number == self._asked:
                        return verdict
        except _LateError:
            process.send_signal(signal.SIGUSR1)
            self._await_ready()
            raise TimeoutError(f"the comparison did not end within {self._timeout:g} seconds") from None
        return "it died twice"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            seconds = str(int(2 * self._timeout) + 1)
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(self._memory_mb), seconds],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
            self.starts += 1
            self._await_ready()
        return self._process

    def _await_ready(self) -> None:
        """Waits for the next fork; what the last one said while it was being killed is passed over."""
        deadline = time.monotonic() + _START_SECONDS
        try:
            while self._line(deadline) != _READY:
                pass
        except _LateError:
            self._end()
            raise RuntimeError("the comparison's process does not start") from None

    def _line(self, deadline: float) -> Any:
        """The next line of the process: that a fork is ready, or a question's number and its answer."""
        assert self._process is not None
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise _LateError
            part = self._process.stdout.read(1 << 16)
            if not part:
                raise ConnectionError("end of stream")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process = None
        self._unread = b""


class _LateError(Exception):
    pass
