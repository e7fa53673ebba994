"""The one error that a user is meant to see, and the phrases that its messages share."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input: a configuration value, a row of data, a checkpoint.

    The message is one line that says where the mistake is, what it is, and what to do about it.
    """


def choose(given: str, choices: Iterable[str]) -> str:
    """Phrases the alternatives to a wrong value, with the closest one as a guess.

    Args:
        given: the value that was not recognised.
        choices: the values that would have been.

    Returns:
        `choose a, b, c (did you mean b?)`.
    """
    known = sorted(map(str, choices))
    if not known:
        return "there is none to choose"
    close = get_close_matches(given, known, n=1)
    return f"choose {', '.join(known)}{f' (did you mean {close[0]}?)' if close else ''}"


def first_line(error: BaseException) -> str:
    """Returns the first line of another library's message, or the name of the error's class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
