"""What can watch an iteration without touching it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightning import Callback, LightningModule
from torch import Tensor

from cgpo.tasks.expert import Expert
from cgpo.types import Objective, Rollout, TrainingBatch, Verdicts


class Observer(Callback):
    """A Lightning callback with a hook after each verb of an iteration; override those of interest.

    Each hook gets the module, whose `global_step` counts updates, and the task's expert.
    """

    def on_rollout(self, module: LightningModule, expert: Expert, rollout: Rollout) -> None:
        """Responses were drawn."""

    def on_reward(self, module: LightningModule, expert: Expert, rollout: Rollout, reward: Tensor) -> None:
        """Responses were scored; `reward` is `[N]`."""

    def on_verdicts(self, module: LightningModule, expert: Expert, rollout: Rollout, verdicts: Verdicts) -> None:
        """Responses were judged."""

    def on_training_batch(
        self,
        module: LightningModule,
        expert: Expert,
        rollout: Rollout,
        verdicts: Verdicts,
        training_batch: TrainingBatch,
    ) -> None:
        """All that an optimizer sees is there."""

    def on_objective(self, module: LightningModule, expert: Expert, objective: Objective) -> None:
        """The task's gradient was added to the policy's."""

    def on_metric(self, module: LightningModule, expert: Expert, name: str, values: Tensor) -> None:
        """Another observer counted `values`, one for each of some samples (`CGPOModule.log_task`)."""

    def on_skipped(self, module: LightningModule, problems: Mapping[str, str], judged: Mapping[str, Any]) -> None:
        """The update left the weights alone, for numbers that are not finite.

        `problems` says what was found, by task, or under `gradient`; `judged` has this process's part of each task's
        batch (`cgpo.training.module.JudgedRollout`).
        """

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        """A stage begins, of one task or of all (`None`).

        It ends with `on_stage`, but for the stage `evaluation`, which ends with `on_evaluation`.
        """

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        """A stage of one task's part of the iteration ended after so many wall-clock seconds."""

    def on_evaluation(self, module: LightningModule, expert: Expert, label: str, result: Any) -> None:
        """Held-out prompts of a task were evaluated; `label` is `before`, `during` or `after`."""


def observers(callbacks: Iterable[Callback]) -> list[Observer]:
    """Those callbacks that watch iterations."""
    return [callback for callback in callbacks if isinstance(callback, Observer)]
