"""What a person is told while work goes on: lines, and bars of how far it is.

Any room says something by `say("…")` and shows how far it is by `with bar("evaluating", total=500) as work:`. Where
that goes is decided once, by the command or the notebook at the top, with `shown_on(screen)`; a process that nobody
gave a screen prints its lines and shows no bars. There is one screen at a time, for there is one terminal.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol


class Work(Protocol):
    """Work under way, as its bar sees it."""

    def advance(self, steps: int = 1, **numbers: float | None) -> None:
        """Notes that steps were done.

        Args:
            steps: since the last call.
            **numbers: shown beside the bar under their names, until others are given; `None` shows as a dash.
        """
        ...


class Screen(Protocol):
    """Where lines and bars are shown."""

    def say(self, line: str, important: bool = False) -> None:
        """Shows a line at once; a bar that is under way stays below it.

        Args:
            line: what there is to say.
            important: a person should act on it, rather than only see that work goes on.
        """
        ...

    def show(self, picture: object) -> None:
        """Shows a table, or anything else that rich can draw."""
        ...

    def bar(self, what: str, total: int | None, done: int = 0) -> AbstractContextManager[Work]:
        """Shows how far a piece of work is, until the context ends; bars may be opened within each other.

        Args:
            what: is done, such as `training`.
            total: how many steps it has; `None` where nobody knows.
            done: how many of them were done before.
        """
        ...


class _Nothing:
    def advance(self, steps: int = 1, **numbers: float | None) -> None:
        """Shows nothing."""


class SilentScreen:
    """Shows nothing: for processes beside the one that speaks."""

    def say(self, line: str, important: bool = False) -> None:
        """Says nothing."""

    def show(self, picture: object) -> None:
        """Shows nothing."""

    def bar(self, what: str, total: int | None, done: int = 0) -> AbstractContextManager[Work]:
        """Shows nothing."""
        return nullcontext(_Nothing())


class LineScreen(SilentScreen):
    """Prints lines and shows no bars."""

    def say(self, line: str, important: bool = False) -> None:
        """Prints the line."""
        print(line, flush=True)

    def show(self, picture: object) -> None:
        """Draws it by rich."""
        from rich.console import Console

        Console().print(picture)


_screen: Screen = LineScreen()


def say(line: str, important: bool = False) -> None:
    """Shows a line on the screen of the moment, see `Screen.say`."""
    _screen.say(line, important)


def show(picture: object) -> None:
    """Shows a table, or anything else that rich can draw, on the screen of the moment."""
    _screen.show(picture)


def bar(what: str, total: int | None, done: int = 0) -> AbstractContextManager[Work]:
    """Shows a bar on the screen of the moment, see `Screen.bar`."""
    return _screen.bar(what, total, done)


@contextmanager
def shown_on(screen: Screen) -> Generator[None]:
    """Lines and bars go to this screen meanwhile, those of other threads included."""
    global _screen
    before, _screen = _screen, screen
    try:
        yield
    finally:
        _screen = before
