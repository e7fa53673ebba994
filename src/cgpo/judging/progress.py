"""How far the work is, on a terminal; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SPEED_OVER = 300.0
"""Seconds over which the speed is taken: a chunk may take a minute."""


@contextmanager
def progress_bar(what: str, total: int | None, shown: bool, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the remaining time; gone when the work is done.

    Args:
        what: is done.
        total: steps there are; `None` where nobody knows.
        shown: whether there is a bar, where stderr is a terminal.
        done: steps that were done before.

    Yields:
        A function to be told how many steps were done.
    """
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda steps: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=SPEED_OVER) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda steps: progress.update(task, advance=steps)
