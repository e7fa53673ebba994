"""A panel's settings, each one for all judges or by name, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge

from cgpo.errors import UserError

T = TypeVar("T")
PerJudge = T | Mapping[str, T]
"""A setting: one value for all judges, or one by a judge's name."""
Failure = Literal["undecided", "violated", "raise"]
"""The words for `OnError`."""
Cap = Annotated[int, Ge(0)] | None
"""The most that a judge may spend; `None` for no limit."""


class OnError(StrEnum):
    """What it counts as where a judge raises an exception."""

    UNDECIDED = "undecided"
    VIOLATED = "violated"
    RAISE = "raise"
    """The run ends with the exception."""


class BeyondCap(StrEnum):
    """What becomes of samples beyond a cap."""

    UNDECIDED = "undecided"
    STOP = "stop"


@dataclass(frozen=True)
class Caps:
    """What a judge may spend since it was made.

    Attributes:
        calls: most calls.
        tokens: most tokens.
        beyond: what becomes of the samples that are left.
    """

    calls: int | None = None
    tokens: int | None = None
    beyond: BeyondCap = BeyondCap.UNDECIDED

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.calls is not None or self.tokens is not None

    def reached(self, usage: Mapping[str, int]) -> str | None:
        """Which cap leaves no room, in words."""
        for key, cap in (("calls", self.calls), ("tokens", self.tokens)):
            if cap is not None and usage.get(key, 0) >= cap:
                return f"{usage.get(key, 0)} {key} are spent, of at most {cap} (panel.max_{key})"
        return None

    def room(self, usage: Mapping[str, int], first: int = 8) -> int | None:
        """How many samples may be asked about before looking at the usage again; `None` where there is no limit.

        A sample is taken for one call, and for as many tokens as a call took on average until now.

        Args:
            usage: until now.
            first: samples to find out with what a call costs.
        """
        rooms: list[int] = []
        calls, tokens = usage.get("calls", 0), usage.get("tokens", 0)
        if self.calls is not None:
            rooms.append(self.calls - calls)
        if self.tokens is not None:
            rooms.append(max(1, (self.tokens - tokens) * calls // tokens) if calls and tokens else first)
        return 0 if self.reached(usage) else min(rooms, default=None)


def choice(key: str, setting: PerJudge[str], judge: str, choices: type[StrEnum], default: str) -> str:
    """A judge's value of a setting that is one of some words.

    Raises:
        UserError: it is none of them.
    """
    value = setting.get(judge, default) if isinstance(setting, Mapping) else setting
    if value not in tuple(choices):
        raise UserError(f"{_where(key, setting, judge)} is {value!r}: it must be {_listed([*choices])}")
    return value


def cap(key: str, setting: PerJudge[int] | None, judge: str) -> int | None:
    """A judge's value of a cap; `None` for no limit.

    Raises:
        UserError: it is no whole number, or less than 0.
    """
    value = setting.get(judge) if isinstance(setting, Mapping) else setting
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        where = _where(key, setting, judge)
        raise UserError(f"{where} is {value!r}: it must be a whole number of at least 0, or null for no limit")
    return value


def check_all(key: str, setting: object, check: Callable[[str], object]) -> None:
    """Checks every value of a setting, whether or not a judge of that name is at hand."""
    for judge in setting if isinstance(setting, Mapping) else [""]:
        check(str(judge))


def _where(key: str, setting: object, judge: str) -> str:
    return f"panel.{key}.{judge}" if isinstance(setting, Mapping) else f"panel.{key}"


def _listed(choices: list[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
