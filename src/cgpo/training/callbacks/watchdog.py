"""Reports what a stalled run waits for, and gives up judges that hold it up."""

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
from cgpo.training.stall_report import JudgeProgress, Stage, Waiting, awaits_judges, frames, location

_LOOKS = 20
"""How often the watchdog looks before it reports a stall."""


class Watchdog(Observer):
    """Reports on stderr, in one line, what a stalled run waits for, and gives up judges that hold it up.

    A line names the process's rank, the stage and its task. If the run waits for verdicts, it names each judge at work,
    with its samples and for how long it has been at these; otherwise it names the line of Python that is being run. It
    appears when a stage has lasted `after` seconds, and again whenever it has lasted twice as long as the last time.
    Every process reports, also those beside the first, whose other lines are not shown.

    A judge that the run waits for, and that has been at the same samples for `after` seconds, is given up
    (`JudgeWorker.give_up`): samples without a verdict are undecided, and the run continues.

    The watchdog is a thread, so it does not notice code that holds the interpreter itself. A regular expression that
    backtracks for ever belongs in a separate process (`cgpo.judges.panel.process_judge.ProcessJudge`).

    Args:
        after: the seconds after which a stage counts as stalled; `None` for no watchdog.
        act: whether judges are given up, or only named.
    """

    def __init__(self, after: Annotated[float, Gt(0), Unit("seconds")] | None = 300.0, act: bool = True) -> None:
        check_arguments(Watchdog, locals())
        self.after = after
        self.act = act
        self._rank = 0
        self._stage = Stage("start")
        self._reported = (self._stage, 0.0)
        self._progress = JudgeProgress()
        self._watched = 0
        self._ended: threading.Event | None = None  # made when it is used, for other processes get copies of callbacks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the watchdog."""
        self._rank = pl_module.global_rank
        self._watched = threading.get_ident()
        self._begin(pl_module, "start")
        if self.after is not None:
            self._ended = threading.Event()
            look = (self._ended, min(self.after / _LOOKS, 5.0))
            threading.Thread(target=self._watch, args=look, name="watchdog", daemon=True).start()

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        """Restarts the time."""
        self._begin(module, stage, expert)

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        """Restarts the time, since observers write between two stages and processes wait for each other."""
        self._begin(module, f"after {stage}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ends the watchdog."""
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Ends the watchdog if the run fails."""
        self._end()

    def look(self, now: float) -> None:
        """Reports a stall and gives up judges, if it is time.

        Args:
            now: the time by `time.monotonic`.
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
        reported, last = self._reported
        if stuck or reported is not stage or lasted >= 2 * last:
            self._reported = (stage, lasted)
            self._report(stage, now, waiting, stuck, location(stack))
        for judge in stuck:
            judge.work.give_up(f"no verdict after {judge.seconds:.0f} s (callbacks.watchdog.after)")

    def _report(self, stage: Stage, now: float, waiting: list[Waiting], stuck: list[Waiting], place: str) -> None:
        what = "; ".join(judge.sentence() for judge in waiting)
        line = f"watchdog: rank {self._rank}, {stage.sentence(now)}: "
        line += f"waits for {what}" if waiting else f"stands at {place}"
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
