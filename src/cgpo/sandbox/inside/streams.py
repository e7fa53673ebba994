"""The tester of a script, which compares what it printed for each input with what it should have printed."""

from __future__ import annotations

import itertools
from typing import Any, cast

from cgpo.sandbox.inside.messages import GoneError, Link

_SHOWN = 60


def run(link: Link, report: Link, work: dict[str, Any]) -> None:
    """Sends the inputs one after another and reports for each `None` for a pass, or the problem."""
    for number, expected in enumerate(work["sources"]):
        try:
            link.send(work["inputs"][number])
            problem = _problem(link.receive(), expected)
        except (GoneError, MemoryError):
            problem = "the program ended or broke the protocol"
        report.send(["test", None if problem is None else ["program", problem], work["nonce"]])
    report.send(["done", len(work["sources"]), work["nonce"]])


def difference(printed: str, expected: str) -> str | None:
    """Describes where an output is wrong; white space at the ends of lines and empty last lines are forgiven."""
    got, want = _lines(printed), _lines(expected)
    for number, (a, b) in enumerate(itertools.zip_longest(got, want), start=1):
        if a is None:
            return f"line {number} of the output is missing, expected {_shown(b)}"
        if b is None:
            return f"line {number} of the output is {_shown(a)}, expected no more"
        if a != b:
            return f"line {number} of the output is {_shown(a)}, expected {_shown(b)}"
    return None


def _problem(answer: Any, expected: str) -> str | None:
    parts = cast("list[Any]", answer) if isinstance(answer, list) else []
    if len(parts) != 3 or not isinstance(parts[0], int):
        raise GoneError("malformed answer")
    status, printed, error = parts
    if printed is None:
        return "the output is too large"
    if status:
        ending = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"{ending}{': ' if error else ''}{error}"
    if not isinstance(printed, str):
        raise GoneError("malformed answer")
    return difference(printed, expected)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _shown(line: str) -> str:
    return repr(line if len(line) <= _SHOWN else line[:_SHOWN] + "…")
