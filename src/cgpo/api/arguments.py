"""Arguments of the public functions, checked by their annotations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from cgpo.bounds import complaint, fits
from cgpo.errors import UserError


def check_call(function: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Checks some arguments of a function by their annotations.

    Args:
        function: whose annotations say what they may be.
        given: name → value.

    Raises:
        UserError: naming the function, the argument and what it must be.
    """
    hints = _hints(function)
    for name, value in given.items():
        if not fits(hints[name], value):
            raise UserError(complaint(f"{function.__name__}.{name}", hints[name], value))


@lru_cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)
