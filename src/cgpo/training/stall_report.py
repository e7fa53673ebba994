"""Where a run stands and for how long: its stage, its line of Python, and the judges that it waits for."""

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
"""Rows that a line names."""


@dataclass(frozen=True)
class Stage:
    """A stage of an iteration that has begun.

    Attributes:
        name: of the stage.
        task: whose it is; `None` where it is no task's alone.
        updates: how many were done before.
        began: when, as `time.monotonic` has it.
    """

    name: str
    task: str | None = None
    updates: int = 0
    began: float = field(default_factory=time.monotonic)

    def sentence(self, now: float) -> str:
        """How long it has lasted."""
        task = "" if self.task is None else f" of task {self.task}"
        return f"after {self.updates} updates, stage {self.name}{task} for {now - self.began:.0f} s"


@dataclass(frozen=True)
class Waiting:
    """A judge at work and for how long it has shown no progress.

    Attributes:
        work: what it is at.
        seconds: since it began, or since the samples changed that it says it is at.
    """

    work: JudgeActivity
    seconds: float

    def sentence(self) -> str:
        """Who it is, for how long, and at which rows."""
        work = self.work
        rows = ", ".join(work.keys[:_KEYS])
        more = f" and {len(work.keys) - _KEYS} more" if len(work.keys) > _KEYS else ""
        return f"judge {work.judge} for {self.seconds:.0f} s, asked about {work.asked} samples, now at {rows}{more}"


class Progress:
    """Notices whether judges get on: whether the samples that they are at change between two looks."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, float], tuple[tuple[Sample, ...], float]] = {}

    def look(self, activity: Sequence[JudgeActivity], now: float) -> list[Waiting]:
        """Takes note of what the judges are at, and says for how long it has been the same."""
        seen: dict[tuple[str, float], tuple[tuple[Sample, ...], float]] = {}
        for work in activity:
            batch = (work.judge, work.began)
            samples, since = self._seen.get(batch, (work.samples, work.began))
            seen[batch] = (work.samples, since if samples == work.samples else now)
        self._seen = seen
        return [Waiting(work, now - seen[work.judge, work.began][1]) for work in activity]


def frames(thread: int) -> Iterator[FrameType]:
    """The frames of a thread, the innermost first; none where it has ended."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back


def awaits_judges(stack: Sequence[FrameType]) -> bool:
    """Whether a thread waits for a future: those of the main thread are verdicts."""
    return any(frame.f_code is Future.result.__code__ for frame in stack)


def standing(stack: Sequence[FrameType]) -> str:
    """The line at which a thread is, and where that is not ours, the line of ours that it came from."""
    places = [place(frame) for frame in stack[:1]]
    ours = next((frame for frame in stack if frame.f_code.co_filename.startswith(_PACKAGE)), None)
    if ours is not None and ours is not stack[0]:
        places.append(f"called from {place(ours)}")
    return ", ".join(places) or "nowhere"


def place(frame: FrameType) -> str:
    """`file:line (function)`, the file from its package on."""
    code = frame.f_code
    path = Path(code.co_filename)
    return f"{'/'.join(path.parts[-2:])}:{frame.f_lineno} ({code.co_name})"
