"""The base of callbacks that watch iterations without changing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning import Callback, LightningModule
from torch import Tensor

from cgpo.tasks.expert import Expert
from cgpo.types import Objective, Rollout, TrainingBatch, Verdicts


class Observer(Callback):
    """A Lightning callback with a hook after each step of an iteration; override those of interest.

    Each hook gets the module, whose `global_step` counts updates, and the task. To log a metric, call
    `module.log_task(expert, name, values)`.
    """

    def on_rollout(self, module: LightningModule, expert: Expert, rollout: Rollout) -> None:
        """Called when responses have been sampled."""

    def on_reward(self, module: LightningModule, expert: Expert, rollout: Rollout, reward: Tensor) -> None:
        """Called when responses have been scored; `reward` is `[N]`."""

    def on_verdicts(self, module: LightningModule, expert: Expert, rollout: Rollout, verdicts: Verdicts) -> None:
        """Called when responses have been judged."""

    def on_training_batch(
        self,
        module: LightningModule,
        expert: Expert,
        rollout: Rollout,
        verdicts: Verdicts,
        training_batch: TrainingBatch,
    ) -> None:
        """Called when everything that an optimizer sees has been put together."""

    def on_objective(self, module: LightningModule, expert: Expert, objective: Objective) -> None:
        """Called when the task's gradient has been added to the policy's."""

    def on_metric(self, module: LightningModule, expert: Expert, name: str, values: Tensor) -> None:
        """Called when another observer logs `values`, one for each of some samples (`CGPOModule.log_task`)."""

    def on_skipped(self, module: LightningModule, problems: Mapping[str, str], judged: Mapping[str, Any]) -> None:
        """Called when the update left the weights unchanged, because of numbers that are not finite.

        `problems` describes what was found, by task, or under `gradient`; `judged` contains this process's part of each
        task's batch (`cgpo.training.module.JudgedRollout`).
        """

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        """Called when a stage begins, of one task or of all (`None`).

        It ends with `on_stage`, except for the stage `evaluation`, which ends with `on_evaluation`.
        """

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        """Called when a stage has ended after so many wall-clock seconds."""

    def on_evaluation(self, module: LightningModule, expert: Expert, label: str, result: Any) -> None:
        """Called when held-out prompts of a task have been evaluated; `label` is `before`, `during` or `after`."""

    @staticmethod
    def merged(states: Sequence[Mapping[str, Any]], first: bool = True) -> dict[str, Any]:
        """Returns the states of several processes as one, for a run that continues with another number of processes.

        Args:
            states: the states of all processes that there were, at least one.
            first: whether the result is for the first of the processes that there are now.
        """
        return dict(states[0])


def observers(callbacks: Iterable[Callback]) -> list[Observer]:
    """Returns those callbacks that watch iterations."""
    return [callback for callback in callbacks if isinstance(callback, Observer)]
