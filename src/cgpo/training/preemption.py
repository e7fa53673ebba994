"""A signal to end: noted, and obeyed once all processes have come to the end of an update."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

STATUS = 128 + signal.SIGTERM
"""What a command ends with that SIGTERM ended."""


class PreemptedError(Exception):
    """The run was told to end, and its state is saved; the message says where."""


class EndSignal:
    """Notes SIGTERM instead of dying of it, from `listen` to `ignore`."""

    def __init__(self) -> None:
        self.received = False
        self._before: Any = None

    def listen(self) -> None:
        """Takes the signal from whoever has it now."""
        self._before = signal.signal(signal.SIGTERM, self._note)

    def ignore(self) -> None:
        """Gives it back."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
