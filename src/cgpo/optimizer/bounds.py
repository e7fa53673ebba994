"""Checks of hyper-parameters, made when an optimizer is built: at start-up, not after an hour."""

from __future__ import annotations

import math

from cgpo.errors import UserError


def require_positive(optimizer: str, name: str, value: object) -> None:
    """Asserts `0 < value < ∞`.

    Raises:
        UserError: naming the hyper-parameter and its value.
    """
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise UserError(f"{optimizer}.{name} is {value!r}: it must be a number above 0")


def require_not_negative(optimizer: str, name: str, value: object) -> None:
    """Asserts `0 ≤ value < ∞`.

    Raises:
        UserError: naming the hyper-parameter and its value.
    """
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
        raise UserError(f"{optimizer}.{name} is {value!r}: it must be a number of at least 0")
