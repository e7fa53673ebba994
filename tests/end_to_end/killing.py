"""Kills a run where a plan says so: `+callbacks.killer={_target_: tests.end_to_end.killing.Killer, plan: FILE}`."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from lightning import LightningModule

from cgpo.tasks.expert import Expert
from cgpo.trainer.observer import Observer


class Killer(Observer):
    """Kills its process, or sends it another signal, some seconds into a stage; each line of the plan once.

    Args:
        plan: a file of JSON lines: `update`, `stage`, `after` (seconds), `rank`, `signal`. A line is taken out before
            it is carried out.
    """

    def __init__(self, plan: str) -> None:
        self.plan = Path(plan)

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        lines = self.plan.read_text().splitlines() if self.plan.is_file() else []
        if not lines:
            return
        first: dict[str, Any] = json.loads(lines[0])
        here = (module.global_step, stage, module.global_rank)
        if here == (first["update"], first["stage"], first["rank"]):
            self.plan.write_text("".join(f"{line}\n" for line in lines[1:]))
            threading.Thread(target=_later, args=(first["after"], first["signal"]), daemon=True).start()


def _later(seconds: float, number: int) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), number)


def plan(file: Path, *points: tuple[int, str, float], rank: int = 0, number: int = signal.SIGKILL) -> None:
    """Writes a plan of updates, stages and seconds."""
    lines = [
        {"update": update, "stage": stage, "after": after, "rank": rank, "signal": int(number)}
        for update, stage, after in points
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
