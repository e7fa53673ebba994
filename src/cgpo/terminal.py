"""Lines and bars on a terminal, in a notebook, or in a log file, by rich."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from cgpo.progress import Work

LINE_EVERY = 10.0
"""Seconds between two lines about the same work where there is no terminal to draw a bar on."""
NARROW_BAR = 12
"""Columns of a bar, which leaves room for the numbers beside it on a screen of 80."""


class Terminal:
    """A screen that draws bars where it can, and says a line every some seconds where it cannot.

    Args:
        console: of rich; by default on standard output.
        every: seconds between two lines about the same work, where no bar can be drawn.
    """

    def __init__(self, console: Console | None = None, every: float = LINE_EVERY) -> None:
        self.console = Console() if console is None else console
        self._every = every
        self._draws = self.console.is_terminal and not (self.console.is_dumb_terminal or self.console.is_jupyter)
        self._progress: Progress | None = None
        self._open: list[_Drawn | _Lines] = []
        self._lock = threading.RLock()

    def say(self, line: str, important: bool = False) -> None:
        """Shows a line, on a terminal wrapped between words: no word is broken, so that paths can be copied."""
        style = "yellow" if important else "dim"
        wrap: dict[str, Any] = {"overflow": "ignore", "crop": False} if self._draws else {"soft_wrap": True}
        self.console.print(line, style=style, markup=False, highlight=False, **wrap)

    def show(self, picture: object) -> None:
        """Draws a table; names that stand in it are never broken, on a narrow screen the terminal wraps its lines."""
        self.console.print(picture, highlight=False)

    @contextmanager
    def bar(self, what: str, total: int | None, done: int = 0) -> Generator[Work]:
        """Shows how far the work is."""
        work = self._drawn(what, total, done) if self._draws else _Lines(what, total, done, self, self._every)
        with self._lock:
            self._open.append(work)
        try:
            yield work
        finally:
            with self._lock:
                self._open.remove(work)
                work.end()
                if self._progress is not None and not self._open:
                    self._progress.stop()
                    self._progress = None

    def _drawn(self, what: str, total: int | None, done: int) -> _Drawn:
        with self._lock:
            if self._progress is None:
                self._progress = _Bars(*_columns(), console=self.console, transient=True)
                self._progress.start()
            return _Drawn(what, total, done, self._progress)

    def is_innermost(self, work: object) -> bool:
        """Whether no other work was begun within this one: of several, only one line is said."""
        return self._open[-1:] == [work]

    def close(self) -> None:
        """Takes the bars away and gives the cursor back: for a process that is about to end at once."""
        if self._progress is not None:
            self._progress.stop()


class _Bars(Progress):
    """Each bar with columns of its own: a long name does not take room from the numbers of another."""

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])


class _Pace:
    """How long work will take, from how long it took so far."""

    def __init__(self, total: int | None, done: int) -> None:
        self.total, self.done = total, done
        self._before, self._start = done, time.monotonic()
        self._ends: float | None = None

    def advance(self, steps: int) -> None:
        now = time.monotonic()
        self.done += steps
        if self.total is not None and self.done > self._before:
            self._ends = now + (now - self._start) / (self.done - self._before) * (self.total - self.done)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    @property
    def remaining(self) -> float | None:
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())


class _Drawn:
    def __init__(self, what: str, total: int | None, done: int, progress: Progress) -> None:
        self._pace, self._progress, self._numbers = _Pace(total, done), progress, ""
        self._task = progress.add_task(what, total=total, completed=done, pace=self._pace, numbers="")

    def advance(self, steps: int = 1, **numbers: float | None) -> None:
        self._pace.advance(steps)
        self._numbers = _shown(numbers) or self._numbers
        self._progress.update(self._task, completed=self._pace.done, numbers=self._numbers)

    def end(self) -> None:
        self._progress.remove_task(self._task)


class _Lines:
    """Says every some seconds how far the work is, whether it has gone on or not."""

    def __init__(self, what: str, total: int | None, done: int, screen: Terminal, every: float) -> None:
        self._what, self._screen, self._pace, self._every = what, screen, _Pace(total, done), every
        self._numbers, self._spoke = "", False
        self._ended = threading.Event()
        threading.Thread(target=self._speak, name=f"lines of {what}", daemon=True).start()

    def advance(self, steps: int = 1, **numbers: float | None) -> None:
        self._pace.advance(steps)
        self._numbers = _shown(numbers) or self._numbers

    def end(self) -> None:
        """Says how long it took, where it has said anything of it before."""
        self._ended.set()
        if self._spoke:
            self._say(f", {duration(self._pace.elapsed)} in all")

    def _speak(self) -> None:
        while not self._ended.wait(self._every):
            if self._screen.is_innermost(self):
                left, self._spoke = self._pace.remaining, True
                self._say(f", {duration(self._pace.elapsed)}" if left is None else f", {duration(left)} left")

    def _say(self, time_of: str) -> None:
        pace = self._pace
        count = "" if pace.total is None and not pace.done else f" {pace.done}"
        of = "" if pace.total is None else f"/{pace.total}"
        numbers = f"; {self._numbers}" if self._numbers else ""
        self._screen.say(f"{self._what}:{count}{of}{time_of if count else time_of.removeprefix(',')}{numbers}")


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None and not task.completed:
            return Text("")
        of = "" if task.total is None else f"/{task.total:.0f}"
        return Text(f"{task.completed:.0f}{of}")


class _Time(ProgressColumn):
    """The time that is left, or that has passed where nobody knows how much is left."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        pace: _Pace = task.fields["pace"]
        left = pace.remaining
        return Text(duration(pace.elapsed) if left is None else f"{duration(left)} left", style="cyan")


def _columns() -> list[ProgressColumn]:
    def column() -> Column:
        return Column(no_wrap=True, overflow="ellipsis")

    return [
        TextColumn("{task.description}", markup=False, table_column=column()),
        BarColumn(NARROW_BAR),
        _Count(table_column=column()),
        _Time(table_column=column()),
        TextColumn("{task.fields[numbers]}", markup=False, table_column=column()),
    ]


def _shown(numbers: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {'–' if value is None else f'{value:.2f}'}" for name, value in numbers.items())


def duration(seconds: float) -> str:
    """Seconds as a person says them: `35 s`, `4:05 min`, `2:07 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
