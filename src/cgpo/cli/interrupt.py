"""Ctrl-C: the first says how to go on, the second stops at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

STATUS = 128 + signal.SIGINT
"""What a command ends with that Ctrl-C ended, as shells have it."""
ENDED_BY = frozenset({STATUS, 128 + signal.SIGTERM})
"""What a command ends with that a person or a cluster ended."""

SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(BaseException):
    """Ctrl-C, as an exception that Lightning does not turn into one of its own."""


@contextmanager
def resumable(how: str) -> Generator[None]:
    """What a first Ctrl-C ends meanwhile is told how to go on.

    Args:
        how: in words.
    """
    try:
        yield
    except Interrupted:
        raise Interrupted(f"stopped by Ctrl-C: {how}") from None


@contextmanager
def stoppable() -> Generator[None]:
    """Ctrl-C raises `Interrupted` in what runs meanwhile, and ends the process with one line; a second ends it at once.

    Training takes the signal over for as long as it can save what was learnt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except Interrupted as interrupted:
        print(str(interrupted) or "stopped by Ctrl-C", file=sys.stderr, flush=True)
        sys.exit(STATUS)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is not _interrupt:
        _die(number, frame)  # training has noted a first one, and passes on the second
    signal.signal(signal.SIGINT, _die)
    raise Interrupted


def _die(number: int, frame: FrameType | None) -> None:
    if sys.stdout.isatty():
        os.write(1, SHOW_CURSOR)  # a bar hides it
    os.write(2, b"\nstopped at once\n")
    os._exit(STATUS)
