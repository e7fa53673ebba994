"""How far a run has come that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
import torch
from cgpo.runs.session import Session
from cgpo.training.checkpoints.catalogue import Checkpoint, newest_whole
from cgpo.training.loggers import cut_back
from cgpo.distributed.rendezvous import broadcast


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


def find_resume_point(session: Session, callbacks: Mapping[str, Any]) -> ResumePoint:
    """Finds where a resumed run goes on, cuts its logs back to there, and says so; all processes together.

    Args:
        session: the run.
        callbacks: of which `checkpoints` is told where to begin.
    """
    keeper = callbacks.get("checkpoints")
    resume_point = ResumePoint()
    if session.first and session.resumed:
        origin, problems = (None, []) if keeper is None else newest_whole(keeper.folder)
        for problem in problems:
            session.announce(f"{problem}: it is passed over")
        session.announce(
            "no checkpoint: the run begins anew" if origin is None else f"goes on after update {origin.step}"
        )
        resume_point = ResumePoint(origin, cut_back(session.folder, {} if origin is None else origin.logs))
    resume_point = broadcast(resume_point)
    if resume_point.origin is not None and keeper is not None:
        keeper.origin = resume_point.origin
        torch.set_num_threads(resume_point.origin.threads)
    return resume_point
