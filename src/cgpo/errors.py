"""How valid choices are named in an error."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input: a config value, a data row, a checkpoint. The message names where, what, and what to do."""


def choose(given: str, choices: Iterable[str]) -> str:
    """`choose a, b, c`, with the closest one as a guess."""
    known = sorted(map(str, choices))
    if not known:
        return "there is none to choose"
    close = get_close_matches(given, known, n=1)
    return f"choose {', '.join(known)}{f' (did you mean {close[0]}?)' if close else ''}"
