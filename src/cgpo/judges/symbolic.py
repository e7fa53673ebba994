"""Mathematical equality in a process of its own, which can be killed: an answer may be a bomb for a computer algebra.

`math-verify` parses and compares; `9^{9^{9^9}}` keeps it busy for ever and `(x+y+z+w)^{500}` fills the memory. The
process starts at the first question and again after it was killed.
"""

from __future__ import annotations

import json
import logging
import resource
import select
import subprocess
import sys
import threading
import time
from typing import IO

_START_SECONDS = 60.0


class Symbolic:
    """Asks whether two mathematical expressions are equal.

    Args:
        timeout: seconds a question may take.
        memory_mb: address space of the process.
    """

    def __init__(self, timeout: float = 3.0, memory_mb: int = 2048) -> None:
        self._timeout = timeout
        self._memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def same(self, truth: str, answer: str) -> bool:
        """Whether the answer equals the truth; an answer that is no mathematics does not.

        Raises:
            TimeoutError: the comparison did not end in time.
            RuntimeError: the process died, or the comparison failed.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps([truth, answer]).encode() + b"\n")
                process.stdin.flush()
                line = _line(process.stdout, self._timeout)
            except TimeoutError:
                self._kill()
                raise TimeoutError(f"the comparison did not end within {self._timeout:g} seconds") from None
            except OSError as error:
                self._kill()
                raise RuntimeError(f"the comparison's process died: {error}") from None
            if not line:
                self._kill()
                raise RuntimeError("the comparison's process died")
            verdict = json.loads(line)
        if not isinstance(verdict, bool):
            raise RuntimeError(f"the comparison failed: {verdict}")
        return verdict

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._kill()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cgpo.judges.symbolic", str(self._memory_mb)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
            assert self._process.stdout is not None
            try:
                ready = _line(self._process.stdout, _START_SECONDS)
            except TimeoutError:
                ready = b""
            if not ready:
                self._kill()
                raise RuntimeError("the comparison's process does not start")
        return self._process

    def _kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process = None


def _line(stream: IO[bytes], seconds: float) -> bytes:
    """The next line of an unbuffered stream, empty at its end."""
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([stream], [], [], max(deadline - time.monotonic(), 0))[0]:
            raise TimeoutError
        part = stream.read(1 << 16)
        if not part:
            return b""
        line += part
    return line


def main() -> None:
    """Answers questions, one JSON line each, until its input ends."""
    memory = int(sys.argv[1]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    latex = [LatexExtractionConfig(boxed_match_priority=-1)]
    sides: dict[str, list[object]] = {}

    def parsed(text: str) -> list[object]:
        return parse("$" + text.replace("$", " ") + "$", latex, parsing_timeout=None)  # pyright: ignore

    parsed("1")
    print(flush=True)
    for line in sys.stdin:
        truth, answer = json.loads(line)
        try:
            if truth not in sides:
                sides.clear()
                sides[truth] = parsed(truth)
            verdict = bool(verify(sides[truth], parsed(answer), timeout_seconds=None, strict=True))  # pyright: ignore
        except (Exception, RecursionError) as error:
            verdict = f"{type(error).__name__}: {error}"[:200].splitlines()[0]
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main()
