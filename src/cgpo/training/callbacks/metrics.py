"""Logs the metrics of every update."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any

import torch
from annotated_types import Ge
from lightning import LightningModule, Trainer
from torch import Tensor

from cgpo.bounds import Unit, check_arguments
from cgpo.evaluation.held_out import Evaluated
from cgpo.optimizer.calibration import calibrated_reward, log_ratio
from cgpo.tasks.expert import Expert
from cgpo.training.metric_accumulator import MetricAccumulator
from cgpo.training.observer import Observer
from cgpo.types import Objective, Outcome, Rollout, TrainingBatch, Verdicts

DECIDED = (Outcome.VIOLATED, Outcome.SATISFIED)
UPDATES = "updates"


class TaskMetrics(Observer):
    """Collects each update's numbers in `torchmetrics` objects and hands them to the run's loggers.

    Numbers add up over the batches of a row and over processes. Tensor-parallel peers have the same samples, so only
    the first of them counts. `cgpo.metrics` declares every name and says what it means.

    Args:
        every: the number of updates between two rows of the log, each of which is the mean over them.
    """

    def __init__(self, every: Annotated[int, Ge(1), Unit("updates")] = 1) -> None:
        check_arguments(TaskMetrics, locals())
        self.every = every
        self.totals: dict[str, float] = defaultdict(float)
        self._accumulator = MetricAccumulator()
        self._counts = True
        self._first = True

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finds out whether this process counts its samples, and whether it counts what all have in common."""
        module: Any = pl_module
        self._counts = module.processes.peer == 0
        self._first = module.processes.first

    def on_rollout(self, module: LightningModule, expert: Expert, rollout: Rollout) -> None:
        """Counts lengths and ends of responses."""
        self._mean(f"train/{expert.name}/length", rollout.response_mask.sum(-1).float())
        self._mean(f"train/{expert.name}/finished_rate", rollout.finished.float())

    def on_verdicts(self, module: LightningModule, expert: Expert, rollout: Rollout, verdicts: Verdicts) -> None:
        """Counts each judge's outcomes, and how often two judges agree."""
        outcomes = {judge: [verdict.outcome for verdict in given] for judge, given in verdicts.by_judge.items()}
        for judge, found in outcomes.items():
            name = f"judges/{expert.name}/{judge}"
            asked = [outcome for outcome in found if outcome is not Outcome.NOT_ASKED]
            self._rate(f"{name}/violation_rate", [o is Outcome.VIOLATED for o in asked if o in DECIDED])
            for outcome in (Outcome.UNDECIDED, Outcome.NOT_APPLICABLE):
                self._rate(f"{name}/{outcome}_rate", [o is outcome for o in asked])
            self._rate(f"{name}/not_asked_rate", [o is Outcome.NOT_ASKED for o in found])
            if judge in verdicts.cached:
                hits = verdicts.cached[judge]
                self._rate(f"{name}/cache_hit_rate", [True] * hits + [False] * (len(asked) - hits))
            self._sum(f"{name}/seconds", verdicts.seconds.get(judge, 0.0))
        for first, second in combinations(outcomes, 2):
            pairs = zip(outcomes[first], outcomes[second], strict=True)
            both = [a is b for a, b in pairs if a in DECIDED and b in DECIDED]
            self._rate(f"judges/{expert.name}/agreement/{first}_{second}", both)

    def on_training_batch(
        self,
        module: LightningModule,
        expert: Expert,
        rollout: Rollout,
        verdicts: Verdicts,
        training_batch: TrainingBatch,
    ) -> None:
        """Counts rewards, raw and calibrated, and the divergence from the reference."""
        task, decided = expert.name, training_batch.decided
        self._mean(f"judges/{task}/satisfied_rate", training_batch.satisfied[decided].float())
        reward, satisfied = training_batch.reward, training_batch.satisfied
        self._mean(f"train/{task}/reward", reward)
        self._mean(f"train/{task}/reward_calibrated", calibrated_reward(reward, training_batch.baseline.reward))
        self._mean(f"train/{task}/reward_given_violation", reward[decided & ~satisfied])
        self._mean(f"train/{task}/reward_given_satisfied", reward[decided & satisfied])
        # Responses from a part of the distribution do not estimate the divergence of the whole distribution.
        self._mean(f"train/{task}/{'log_ratio' if rollout.truncation else 'kl'}", log_ratio(training_batch))

    def on_objective(self, module: LightningModule, expert: Expert, objective: Objective) -> None:
        """Counts the loss and the optimizer's own metrics, in one process since they are of the whole batch."""
        for name, value in {"loss": objective.loss.item(), **objective.metrics}.items():
            self._mean(f"train/{expert.name}/objective/{name}", torch.tensor([value] if self._first else []))

    def on_metric(self, module: LightningModule, expert: Expert, name: str, values: Tensor) -> None:
        """Counts numbers of another observer (`CGPOModule.log_task`)."""
        self._mean(f"train/{expert.name}/{name}", values)

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        """Counts the seconds of a stage, of all tasks together."""
        self.totals[stage] += seconds
        self._sum(f"time/{stage}", seconds)

    def on_evaluation(self, module: LightningModule, expert: Expert, label: str, result: Evaluated) -> None:
        """Logs the numbers of an evaluation at once."""
        of = result.result
        satisfied = of.satisfied_rate if of.violation_rate else None
        values = {"success": of.success, "reward": of.reward, "kl": of.kl, "satisfied_rate": satisfied, **of.measures}
        self._log(
            module.trainer,
            {f"eval/{expert.name}/{name}": value for name, value in values.items() if value is not None},
            module.global_step,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes a row, if it is time."""
        self._sum(UPDATES, 1)
        if pl_module.global_step % self.every == 0:
            self._flush(trainer, pl_module.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the last row."""
        self._flush(trainer, pl_module.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Returns the seconds of every stage so far, and what was counted since the last row."""
        return {"totals": dict(self.totals), "counts": self._accumulator.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues counting from there."""
        self.totals = defaultdict(float, state_dict["totals"])
        self._accumulator.load_state_dict([state_dict["counts"]])

    @staticmethod
    def merged(states: Sequence[Mapping[str, Any]], first: bool = True) -> dict[str, Any]:
        """Returns the states of several processes as one, for a run that continues with another number of them.

        Counts are added up; the seconds of a stage are those of one process, on average.

        Args:
            states: the states of all processes that there were.
            first: whether the result is for the first of the processes that there are now. The others get the same
                names without counts.
        """
        counts = MetricAccumulator()
        counts.load_state_dict([state["counts"] for state in states])
        stages = dict.fromkeys(stage for state in states for stage in state["totals"])
        totals = {stage: sum(state["totals"].get(stage, 0.0) for state in states) / len(states) for stage in stages}
        return {"totals": totals, "counts": counts.state_dict() if first else counts.zeros()}

    def _flush(self, trainer: Trainer, step: int) -> None:
        means, sums = self._accumulator.over_processes()
        self._accumulator.clear()
        updates = max(
            1.0, sums.pop(UPDATES, 0.0)
        )  # summed over the processes that count, so that seconds are those of one
        self._log(trainer, {**means, **{name: value / updates for name, value in sums.items()}}, step)

    @staticmethod
    def _log(trainer: Trainer, row: dict[str, float], step: int) -> None:
        if not row:
            return
        for logger in trainer.loggers:
            logger.log_metrics(row, step)

    def _mean(self, name: str, values: Tensor) -> None:
        """Makes a mean even without values, since processes that add up their metrics must have the same names."""
        self._accumulator.mean(name, values if self._counts else values.new_empty(0))

    def _rate(self, name: str, holds: Sequence[bool]) -> None:
        self._mean(name, torch.tensor(holds, dtype=torch.float32))

    def _sum(self, name: str, value: float) -> None:
        self._accumulator.sum(name, value if self._counts else 0.0)
