"""Kills a run where a plan says so: `+callbacks.killer={_target_: tests.end_to_end.killing.Killer, plan: FILE}`."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from lightning import LightningModule

from cgpo.tasks.expert import Expert
from cgpo.training.observer import Observer


@dataclass(frozen=True)
class Kill:
    """A signal to a process.

    Attributes:
        update: from which on; the first time that the stage begins.
        stage: of the update.
        after: seconds into the stage.
        rank: of the process that is killed, or that kills its parent.
        number: the signal.
        parent: it is sent to the process that started the process.
    """

    update: int
    stage: str
    after: float = 0.0
    rank: int = 0
    number: int = signal.SIGKILL
    parent: bool = False


class Killer(Observer):
    """Sends the signals of a plan, each once.

    Args:
        plan: a file of JSON lines, each a `Kill`. A line is taken out before it is carried out.
    """

    def __init__(self, plan: str) -> None:
        self.plan = Path(plan)

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        planned = read(self.plan)
        if not planned:
            return
        first = planned[0]
        if module.global_step >= first.update and (stage, module.global_rank) == (first.stage, first.rank):
            write(self.plan, planned[1:])
            threading.Thread(target=_later, args=(first,), daemon=True).start()


def read(plan: Path) -> list[Kill]:
    """What is still to be done."""
    return [Kill(**json.loads(line)) for line in plan.read_text().splitlines()] if plan.is_file() else []


def write(plan: Path, kills: Iterable[Kill]) -> None:
    """Writes a plan, which other processes may be reading."""
    new = plan.with_suffix(".new")
    new.write_text("".join(f"{json.dumps(asdict(kill))}\n" for kill in kills))
    os.replace(new, plan)


def _later(kill: Kill) -> None:
    time.sleep(kill.after)
    os.kill(os.getppid() if kill.parent else os.getpid(), kill.number)
