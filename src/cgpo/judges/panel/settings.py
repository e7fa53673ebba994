"""A panel's settings, each for all judges or by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, TypeVar, cast

from annotated_types import Ge

T = TypeVar("T")
PerJudge = T | Mapping[str, T]
"""A setting: one value for all judges, or one for each name."""
Failure = Literal["undecided", "violated", "raise"]
"""The values of `OnError`."""
Beyond = Literal["undecided", "stop"]
"""The values of `BeyondCap`."""
Cap = Annotated[int, Ge(0)] | None
"""The most that a judge may spend; `None` for no limit."""


class OnError(StrEnum):
    """What a judge's exception counts as."""

    UNDECIDED = "undecided"
    VIOLATED = "violated"
    RAISE = "raise"
    """The run ends with the exception."""


class BeyondCap(StrEnum):
    """What happens to samples beyond a cap."""

    UNDECIDED = "undecided"
    STOP = "stop"


@dataclass(frozen=True)
class Caps:
    """The most that a judge may spend in a run.

    Attributes:
        calls: the most calls.
        tokens: the most tokens.
        beyond: what happens to the samples that are left.
    """

    calls: int | None = None
    tokens: int | None = None
    beyond: BeyondCap = BeyondCap.UNDECIDED

    def __bool__(self) -> bool:
        """Returns whether there is any cap."""
        return self.calls is not None or self.tokens is not None

    def reached(self, usage: Mapping[str, int]) -> str | None:
        """Returns in words which cap is reached, or `None`."""
        for key, cap in (("calls", self.calls), ("tokens", self.tokens)):
            if cap is not None and usage.get(key, 0) >= cap:
                return f"{usage.get(key, 0)} {key} are spent, of at most {cap} (panel.max_{key})"
        return None

    def room(self, usage: Mapping[str, int], first: int = 8) -> int | None:
        """Returns how many samples may be asked about before looking at the usage again; `None` for no limit.

        A sample counts as one call, and as many tokens as a call took on average until now.

        Args:
            usage: what was spent until now.
            first: how many samples to begin with, to find out what a call costs.
        """
        rooms: list[int] = []
        calls, tokens = usage.get("calls", 0), usage.get("tokens", 0)
        if self.calls is not None:
            rooms.append(self.calls - calls)
        if self.tokens is not None:
            rooms.append(max(1, (self.tokens - tokens) * calls // tokens) if calls and tokens else first)
        return 0 if self.reached(usage) else min(rooms, default=None)


def of_judge(setting: PerJudge[T], judge: str, default: T) -> T:
    """Returns a judge's value of a setting."""
    return cast("Mapping[str, T]", setting).get(judge, default) if isinstance(setting, Mapping) else cast("T", setting)
