"""What a stalled run waits for is said, and a judge that it waits for is given up."""

from __future__ import annotations

import sys
import threading
import time
from typing import Annotated

from annotated_types import Gt
from lightning import LightningModule, Trainer

from cgpo.bounds import Unit, check_arguments
from cgpo.judges.panel.batch import active_judges
from cgpo.tasks.expert import Expert
from cgpo.training.observer import Observer
from cgpo.training.stall_report import Progress, Stage, Waiting, awaits_judges, frames, standing

_LOOKS = 20
"""Looks in the time after which a stall is said."""


class Watchdog(Observer):
    """Says on stderr, in one line, what a run that stands still waits for, and gives up judges that hold it up.

    A line names the process's rank, the stage, its task and, where the run waits for verdicts, each judge at work, for
    how long it has been at the same samples, and which; otherwise the line of Python that is being run. It comes when
    a stage has lasted `after` seconds, and again whenever it has lasted twice as long as at the last time.

    A judge for which the run waits, and which has been at the same samples for `after` seconds, is given up
    (`JudgeWorker.give_up`): the samples that it has no verdict on are undecided, and the run goes on.

    It is a thread, so that it cannot see what holds the interpreter itself: a regular expression that backtracks for
    ever belongs in a process of its own (`cgpo.judges.panel.process_judge.ProcessJudge`).

    Args:
        after: seconds; `None` for no watchdog.
        act: whether judges are given up, or only named.
    """

    def __init__(self, after: Annotated[float, Gt(0), Unit("seconds")] | None = 300.0, act: bool = True) -> None:
        check_arguments(Watchdog, locals())
        self.after = after
        self.act = act
        self._rank = 0
        self._stage = Stage("start")
        self._said = (self._stage, 0.0)
        self._progress = Progress()
        self._watched = 0
        self._ended: threading.Event | None = None  # made where it is used: other processes get copies of callbacks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on it looks."""
        self._rank = pl_module.global_rank
        self._watched = threading.get_ident()
        self._begin(pl_module, "start")
        if self.after is not None:
            self._ended = threading.Event()
            look = (self._ended, min(self.after / _LOOKS, 5.0))
            threading.Thread(target=self._watch, args=look, name="watchdog", daemon=True).start()

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        """The time starts again."""
        self._begin(module, stage, expert)

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        """Between two stages observers write, and processes wait for each other."""
        self._begin(module, f"after {stage}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """It looks no more."""
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Nor where the run fails."""
        self._end()

    def look(self, now: float) -> None:
        """Says what is to be said, and gives up what is to be given up.

        Args:
            now: as `time.monotonic` has it.
        """
        assert self.after is not None
        stage = self._stage
        activity = self._progress.look(active_judges(), now)
        lasted = now - stage.began
        if lasted < self.after:
            return
        stack = list(frames(self._watched))
        waiting = activity if stage.name == "judges" or awaits_judges(stack) else []
        stuck = [judge for judge in waiting if self.act and judge.seconds >= self.after]
        said, last = self._said
        if stuck or said is not stage or lasted >= 2 * last:
            self._said = (stage, lasted)
            self._say(stage, now, waiting, stuck, standing(stack))
        for judge in stuck:
            judge.work.give_up(f"no verdict after {judge.seconds:.0f} s (callbacks.watchdog.after)")

    def _say(self, stage: Stage, now: float, waiting: list[Waiting], stuck: list[Waiting], standing: str) -> None:
        what = "; ".join(judge.sentence() for judge in waiting)
        line = f"watchdog: rank {self._rank}, {stage.sentence(now)}: "
        line += f"waits for {what}" if waiting else f"stands at {standing}"
        if stuck:
            line += f"; given up, their samples are undecided: {', '.join(judge.work.judge for judge in stuck)}"
        print(line.replace("\n", " "), file=sys.stderr, flush=True)

    def _begin(self, module: LightningModule, stage: str, expert: Expert | None = None) -> None:
        self._stage = Stage(stage, None if expert is None else expert.name, module.global_step)

    def _end(self) -> None:
        if self._ended is not None:
            self._ended.set()

    def _watch(self, ended: threading.Event, interval: float) -> None:
        while not ended.wait(interval):
            self.look(time.monotonic())
