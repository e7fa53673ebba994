"""Notes a signal to end, which is obeyed once all processes have finished an update."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from cgpo.progress import say

NAMES: Mapping[int, str] = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
"""The signals that ask a run to end, by the names that a person knows."""


class PreemptedError(Exception):
    """A signal asked the run to end, and its state has been saved; the message says where.

    Args:
        message: what was done.
        number: the signal that ended the run.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status of a command that the signal ended, by the convention of shells."""
        return 128 + self.number


class EndSignal:
    """Notes SIGTERM and Ctrl-C instead of dying of them, from `listen` to `ignore`; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def received(self) -> bool:
        """Whether a signal was received."""
        return self.number is not None

    def listen(self) -> None:
        """Replaces the current handlers of the signals."""
        self._before = {number: signal.signal(number, self._note) for number in NAMES}

    def ignore(self) -> None:
        """Restores the previous handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.number == signal.SIGINT:
            # A second Ctrl-C means: do not wait for the end of the update.
            self._before[number](number, frame)
        self.number = number
        if number == signal.SIGINT:
            with suppress(RuntimeError):  # the signal came in the middle of another line
                say("Ctrl-C: the run ends after this update and is saved; once more stops it at once", important=True)
