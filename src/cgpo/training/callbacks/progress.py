"""Shows how far training is."""

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
    """A bar over the updates, with the remaining time and three numbers of the last update, of all tasks together.

    They are the mean raw reward, the share of responses that violate a judge, and the mean KL divergence from the
    reference in nats a response (of tasks whose rollout is not cut by top-p or top-k). With several processes they are
    those of the first one's samples.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._work: Work | None = None
        self._batches: list[tuple[TrainingBatch, bool]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Opens the bar at the first update, since an evaluation before it has its own bar."""
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
        self._batches.append((training_batch, not rollout.truncation))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar on."""
        numbers = _numbers(self._batches)
        self._batches = []
        if self._work is not None:
            self._work.advance(1, **numbers)
        if pl_module.global_step >= trainer.max_steps:
            self._close()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Closes the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Closes the bar if the run fails, so that the error can be read."""
        self._close()

    def _close(self) -> None:
        self._open.close()
        self._work = None


def _numbers(batches: list[tuple[TrainingBatch, bool]]) -> dict[str, float | None]:
    """Computes means over all tasks' samples, `None` without samples; batches come with whether they have a KL."""
    numbers = {
        "reward": [batch.reward for batch, _ in batches],
        "violated": [~batch.satisfied[batch.decided] for batch, _ in batches],
        "KL": [log_ratio(batch) for batch, has_kl in batches if has_kl],
    }
    return {name: _mean(parts) for name, parts in numbers.items()}


def _mean(parts: list[Tensor]) -> float | None:
    values = [part.float().flatten().cpu() for part in parts]
    return torch.cat(values).mean().item() if sum(map(len, values)) else None
