"""A signal to end: noted, and obeyed once all processes have come to the end of an update."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from cgpo.progress import say

NAMES: Mapping[int, str] = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
"""The signals that ask for an end, as a person calls them."""


class PreemptedError(Exception):
    """The run was told to end, and its state is saved; the message says where.

    Args:
        message: what was done.
        number: the signal that ended it.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.number = number

    @property
    def status(self) -> int:
        """What a command ends with that the signal ended, as shells have it."""
        return 128 + self.number


class EndSignal:
    """Notes SIGTERM and Ctrl-C instead of dying of them, from `listen` to `ignore`; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def received(self) -> bool:
        """Whether there was one."""
        return self.number is not None

    def listen(self) -> None:
        """Takes the signals from whoever has them now."""
        self._before = {number: signal.signal(number, self._note) for number in NAMES}

    def ignore(self) -> None:
        """Gives them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.number == signal.SIGINT:
            # Whoever presses it twice does not want to wait for an update's end.
            self._before[number](number, frame)
        self.number = number
        if number == signal.SIGINT:
            with suppress(RuntimeError):  # it came in the middle of another line
                say("Ctrl-C: the run ends after this update and is saved; once more stops it at once", important=True)
