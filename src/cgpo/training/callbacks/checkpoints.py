"""Saves checkpoints of a run, and continues from one as if there had been no interruption."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint

from cgpo.bounds import Unit, check_arguments
from cgpo.evaluation.held_out import Evaluated
from cgpo.progress import say
from cgpo.tasks.expert import Expert
from cgpo.training.checkpoints.catalogue import Checkpoint, prune
from cgpo.training.checkpoints.reading import load_states, load_tensors, trained_tensors
from cgpo.training.checkpoints.states import restore, state_of
from cgpo.training.checkpoints.writing import write_checkpoint
from cgpo.training.loggers import log_sizes
from cgpo.training.observer import Observer
from cgpo.training.preemption import NAMES, EndSignal, PreemptedError


class Checkpoints(Observer, LightningCheckpoint):
    """Saves what a run needs to continue bit for bit, and ends the run in good order on SIGTERM or Ctrl-C.

    Lightning calls it after all other callbacks, so that their state after an update is in its checkpoint.

    Args:
        folder: the folder of the checkpoints.
        every: the number of updates between two; there is one at each evaluation during training, too. 0 for none.
        keep_last: how many of the newest are kept.
        keep_best: how many of the best are kept besides.
        monitor: what is best: the mean over tasks of a number of their evaluations, `success`, `reward` or `kl`.
        logs: the run's folder, whose logs are cut back to a checkpoint; by default the parent of `folder`.
    """

    def __init__(
        self,
        folder: str,
        every: Annotated[int, Ge(0), Unit("updates")] = 10,
        keep_last: Annotated[int, Ge(1), Unit("checkpoints")] = 2,
        keep_best: Annotated[int, Ge(0), Unit("checkpoints")] = 1,
        monitor: Literal["success", "reward", "kl"] = "success",
        logs: str | None = None,
    ) -> None:
        check_arguments(Checkpoints, locals())
        self.folder = Path(folder)
        self.logs = self.folder.parent if logs is None else Path(logs)
        self.every = every
        self.keep_last = keep_last
        self.keep_best = keep_best
        self.monitor = monitor
        self.origin: Checkpoint | None = None
        self._signal = EndSignal()
        self._scores: dict[int, list[float]] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the checkpoint `origin`, if that is set."""
        module: Any = pl_module
        if self.origin is not None:
            optimizer: Any = trainer.optimizers[0]
            load_tensors(self.origin, module, optimizer, module.processes.alone)
            restore(trainer, module, load_states(self.origin, module.processes), self.origin)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on SIGTERM and Ctrl-C wait for the end of an update, except in a thread, which gets no signals."""
        if self.every and threading.current_thread() is threading.main_thread():
            self._signal.listen()

    def on_evaluation(self, module: LightningModule, expert: Expert, label: str, result: Evaluated) -> None:
        """Notes how good the policy is."""
        if label != "during":
            return
        # Also without a number: only the first of tensor-parallel peers has one, and all save together.
        scores = self._scores.setdefault(module.global_step, [])
        number = getattr(result.result, self.monitor)
        if number is not None:
            scores.append(-number if self.monitor == "kl" else number)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves a checkpoint if one is due or the run is to end."""
        module: Any = pl_module
        step = module.global_step
        if step >= trainer.max_steps:
            self._signal.ignore()  # nothing more is saved: a resumed run repeats what comes after
        if not self.every or step >= trainer.max_steps:
            return
        ends = module.processes.any(self._signal.received)
        if not (ends or step % self.every == 0 or step in self._scores):
            return
        with module.stage("checkpoint"):
            problem = self._save(trainer, module, step)
        if ends:
            where = f"saved in {self.folder}" if problem is None else f"not saved: {problem}"
            number = self._signal.number or signal.SIGTERM
            updates = f"{step} of {trainer.max_steps} updates"
            raise PreemptedError(f"{NAMES[number]}: the run ends after {updates}, {where}", number)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on signals end the run at once."""
        self._signal.ignore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """From here on signals end the run at once, also if it fails."""
        self._signal.ignore()

    def _save(self, trainer: Trainer, module: Any, step: int) -> str | None:
        scores = self._scores.pop(step, None)
        optimizer: Any = trainer.optimizers[0]
        logs: Mapping[str, int] = log_sizes(self.logs, trainer.loggers) if module.processes.first else {}
        problem = write_checkpoint(
            self.folder,
            step,
            trained_tensors(module, optimizer),
            state_of(trainer, module),
            module.processes,
            sum(scores) / len(scores) if scores else None,
            logs,
        )
        if not module.processes.first:
            return problem
        if problem is None:
            prune(self.folder, self.keep_last, self.keep_best, step)
        else:
            say(f"no checkpoint after update {step}: {problem}; those of before are kept", important=True)
        return problem
