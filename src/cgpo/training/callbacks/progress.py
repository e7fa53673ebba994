"""How far training is, for the person who waits for it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from cgpo.optimizer.calibration import log_ratio
from cgpo.progress import Work, bar
from cgpo.tasks.expert import Expert
from cgpo.training.observer import Observer
from cgpo.types import Rollout, TrainingBatch, Verdicts


class ProgressBar(Observer):
    """A bar over the updates, with the time that is left and three numbers of the last update, all tasks together.

    They are the mean raw reward, the share of responses that violate a judge, and the mean KL divergence from the
    reference in nats a response; of several processes those of the first one's samples.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._work: Work | None = None
        self._batches: list[TrainingBatch] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The first update begins; an evaluation before it has a bar of its own."""
        if self._work is None:
            shown = bar("training", trainer.max_steps, pl_module.global_step)
            self._work = self._open.enter_context(shown)

    def on_training_batch(
        self,
        module: LightningModule,
        expert: Expert,
        rollout: Rollout,
        verdicts: Verdicts,
        training_batch: TrainingBatch,
    ) -> None:
        """Keeps a task's numbers until the update's end."""
        self._batches.append(training_batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """An update is done."""
        numbers = _numbers(self._batches)
        self._batches = []
        if self._work is not None:
            self._work.advance(1, **numbers)
        if pl_module.global_step >= trainer.max_steps:
            self._close()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the bar away."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Takes the bar away where the run fails, so that what is said of it can be read."""
        self._close()

    def _close(self) -> None:
        self._open.close()
        self._work = None


def _numbers(batches: list[TrainingBatch]) -> dict[str, float | None]:
    """Means over the samples of all tasks; `None` where there are none."""
    numbers = {
        "reward": [batch.reward for batch in batches],
        "violated": [~batch.satisfied[batch.decided] for batch in batches],
        "KL": [log_ratio(batch) for batch in batches],
    }
    return {name: _mean(parts) for name, parts in numbers.items()}


def _mean(parts: list[Tensor]) -> float | None:
    values = [part.float().flatten().cpu() for part in parts]
    return torch.cat(values).mean().item() if sum(map(len, values)) else None
