"""How far a run has come that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cgpo.composition.session import Session
from cgpo.trainer.checkpoint.catalogue import Checkpoint, newest_whole
from cgpo.trainer.logs import cut_back
from cgpo.trainer.meeting import told


@dataclass(frozen=True)
class Begun:
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


def pick_up(session: Session, callbacks: Mapping[str, Any]) -> Begun:
    """Finds where a resumed run goes on, cuts its logs back to there, and says so; all processes together.

    Args:
        session: the run.
        callbacks: of which `checkpoints` is told where to begin.
    """
    keeper = callbacks.get("checkpoints")
    begun = Begun()
    if session.first and session.resumed:
        origin, problems = (None, []) if keeper is None else newest_whole(keeper.folder)
        for problem in problems:
            session.announce(f"{problem}: it is passed over")
        session.announce(
            "no checkpoint: the run begins anew" if origin is None else f"goes on after update {origin.step}"
        )
        begun = Begun(origin, cut_back(session.folder, {} if origin is None else origin.logs))
    begun = told(begun)
    if begun.origin is not None and keeper is not None:
        keeper.origin = begun.origin
        torch.set_num_threads(begun.origin.threads)
    return begun
