"""Describes where a run stands and for how long: its stage, its line of Python, and the judges that it waits for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from cgpo.judges.panel.batch import JudgeActivity
from cgpo.types import Sample

_PACKAGE = str(Path(__file__).parents[1])
_KEYS = 3
"""How many rows a line names."""


@dataclass(frozen=True)
class Stage:
    """A stage of an iteration that has begun.

    Attributes:
        name: the stage's name.
        task: the task that it is of; `None` if it is of all tasks.
        updates: the number of updates done before.
        began: when it began, by `time.monotonic`.
    """

    name: str
    task: str | None = None
    updates: int = 0
    began: float = field(default_factory=time.monotonic)

    def sentence(self, now: float) -> str:
        """Describes how long the stage has lasted."""
        task = "" if self.task is None else f" of task {self.task}"
        return f"after {self.updates} updates, stage {self.name}{task} for {now - self.began:.0f} s"


@dataclass(frozen=True)
class Waiting:
    """A judge at work, and for how long it has shown no progress.

    Attributes:
        work: what the judge is doing.
        seconds: the seconds since it began, or since the samples that it says it is at changed.
    """

    work: JudgeActivity
    seconds: float

    def sentence(self) -> str:
        """Describes which judge is at which rows, and for how long."""
        work = self.work
        rows = ", ".join(work.keys[:_KEYS])
        more = f" and {len(work.keys) - _KEYS} more" if len(work.keys) > _KEYS else ""
        return f"judge {work.judge} for {self.seconds:.0f} s, asked about {work.asked} samples, now at {rows}{more}"


class JudgeProgress:
    """Notices whether the samples that judges are at change between two looks."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, float], tuple[tuple[Sample, ...], float]] = {}

    def look(self, activity: Sequence[JudgeActivity], now: float) -> list[Waiting]:
        """Notes what the judges are doing, and returns for how long it has been the same."""
        seen: dict[tuple[str, float], tuple[tuple[Sample, ...], float]] = {}
        for work in activity:
            batch = (work.judge, work.began)
            samples, since = self._seen.get(batch, (work.samples, work.began))
            seen[batch] = (work.samples, since if samples == work.samples else now)
        self._seen = seen
        return [Waiting(work, now - seen[work.judge, work.began][1]) for work in activity]


def frames(thread: int) -> Iterator[FrameType]:
    """Returns the frames of a thread, the innermost first; none if it has ended."""
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        yield frame
        frame = frame.f_back


def awaits_judges(stack: Sequence[FrameType]) -> bool:
    """Returns whether a thread waits for a future; those of the main thread are verdicts."""
    code = Future[object].result.__code__
    return any(frame.f_code is code for frame in stack)


def location(stack: Sequence[FrameType]) -> str:
    """Describes the line that a thread is at, and if it is not cgpo's, the line of cgpo that called it."""
    places = [place(frame) for frame in stack[:1]]
    own = next((frame for frame in stack if frame.f_code.co_filename.startswith(_PACKAGE)), None)
    if own is not None and own is not stack[0]:
        places.append(f"called from {place(own)}")
    return ", ".join(places) or "nowhere"


def place(frame: FrameType) -> str:
    """Describes a frame as `file:line (function)`, the file with its folder."""
    code = frame.f_code
    path = Path(code.co_filename)
    return f"{'/'.join(path.parts[-2:])}:{frame.f_lineno} ({code.co_name})"
