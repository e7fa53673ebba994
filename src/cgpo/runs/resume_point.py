"""How far a run has come that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cgpo.distributed.rendezvous import broadcast
from cgpo.progress import say
from cgpo.training.checkpoints.catalogue import Checkpoint, newest_whole
from cgpo.training.loggers import cut_back


@dataclass(frozen=True)
class ResumePoint:
    """How far a run has come.

    Attributes:
        origin: the checkpoint that it goes on from; `None` where it begins.
        rows: of `metrics.csv` until then.
    """

    origin: Checkpoint | None = None
    rows: Sequence[Mapping[str, str]] = ()

    @property
    def updates(self) -> int:
        """That are done."""
        return 0 if self.origin is None else self.origin.step

    @property
    def threads(self) -> int | None:
        """Of torch until now: the last bits of its numbers depend on them."""
        return None if self.origin is None else self.origin.threads


def find_resume_point(
    folder: Path, callbacks: Mapping[str, Any], first: bool = True, resumed: bool = False
) -> ResumePoint:
    """Finds where a resumed run goes on, cuts its logs back to there, and says so; all processes together.

    Args:
        folder: of the run.
        callbacks: of which `checkpoints` is told where to begin.
        first: whether this process writes the run's files.
        resumed: the run was begun before.
    """
    keeper = callbacks.get("checkpoints")
    resume_point = ResumePoint()
    if first and resumed:
        origin, problems = (None, []) if keeper is None else newest_whole(keeper.folder)
        for problem in problems:
            say(f"{problem}: it is passed over")
        say("no checkpoint: the run begins anew" if origin is None else f"goes on after update {origin.step}")
        resume_point = ResumePoint(origin, cut_back(folder, {} if origin is None else origin.logs))
    resume_point = broadcast(resume_point)
    if resume_point.origin is not None and keeper is not None:
        keeper.origin = resume_point.origin
        torch.set_num_threads(resume_point.origin.threads)
    return resume_point
