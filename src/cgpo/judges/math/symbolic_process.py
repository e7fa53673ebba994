"""The process of `symbolic.py`, which imports the computer algebra and keeps one fork that compares.

Its standard input has one question a line, its output one answer a line, with the question's number; a line `"ready"`
announces a fork. SIGUSR1 kills the fork. The process itself never reads a question, so that an expression
can only harm a fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_READY = "ready"


def main() -> None:
    """Replaces the fork whenever it dies, until the input ends."""
    memory, seconds = int(sys.argv[1]) << 20, int(sys.argv[2])
    compare = _Comparison()
    compare("1", "1", None)
    fork = 0

    def end_fork(*_: Any) -> None:
        if fork:
            with contextlib.suppress(ProcessLookupError):
                os.kill(fork, signal.SIGKILL)

    while True:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        if fork:
            _forget_questions()
        fork = os.fork()
        if not fork:
            # Where nobody reads any more there is nothing left to do either: the asking process was killed.
            with contextlib.suppress(BrokenPipeError):
                _serve(compare, memory, seconds)
            os._exit(0)
        signal.signal(signal.SIGUSR1, end_fork)
        _, status = os.waitpid(fork, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return


class _Comparison:
    """Compares two expressions, keeping the last truth parsed, since the responses to a prompt come together."""

    def __init__(self) -> None:
        from math_verify import LatexExtractionConfig, parse, verify  # pyright: ignore[reportMissingTypeStubs]

        logging.disable(logging.CRITICAL)
        self._latex = [LatexExtractionConfig(boxed_match_priority=-1)]
        self._parse, self._verify = parse, verify
        self._truth: tuple[str, Any] = ("", None)

    def __call__(self, truth: str, answer: str, decimals: int | None) -> bool:
        if self._truth[0] != truth:
            self._truth = (truth, self._parsed(truth))
        options: dict[str, Any] = {"timeout_seconds": None, "strict": True}
        if decimals is not None:
            options["float_rounding"] = decimals
        return bool(self._verify(self._truth[1], self._parsed(answer), **options))

    def _parsed(self, text: str) -> Any:
        return self._parse("$" + text.replace("$", " ") + "$", self._latex, parsing_timeout=None)  # pyright: ignore


def _serve(compare: _Comparison, memory: int, seconds: int) -> None:
    """Answers questions until the input ends; if nobody kills the process at its limit, the alarm does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _say(_READY)
    for line in os.fdopen(os.dup(0), "rb", buffering=0):
        signal.alarm(seconds)
        number, truth, answer, decimals = json.loads(line)
        try:
            verdict: bool | str = compare(truth, answer, decimals)
        except Exception as error:
            verdict = f"{type(error).__name__}: {error}"[:200]
        signal.alarm(0)
        _say([number, verdict])


def _say(word: object) -> None:
    os.write(1, json.dumps(word).encode() + b"\n")


def _forget_questions() -> None:
    """Throws away what the killed fork left unread: the next fork answers new questions only."""
    os.set_blocking(0, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(0, 1 << 16):
            pass
    os.set_blocking(0, True)


if __name__ == "__main__":
    main()
