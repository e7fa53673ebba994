"""Keeps samples: prompts and responses with rewards and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import torch
from annotated_types import Ge
from lightning import LightningModule
from lightning.pytorch.loggers import WandbLogger

from cgpo.bounds import Unit, check_arguments
from cgpo.evaluation.held_out import Evaluated
from cgpo.files import append_json_lines
from cgpo.optimizer.calibration import calibrated_reward, log_ratio
from cgpo.tasks.expert import Expert
from cgpo.tensors import float_list
from cgpo.training.observer import Observer
from cgpo.types import Rollout, TrainingBatch, Verdict, Verdicts


class SampleLog(Observer):
    """Appends samples to `samples.jsonl`, and shows evaluations' samples as a table in W&B.

    A row has `step`, `split` (`train` or `held_out`), `task`, `key`, `prompt`, `response`, `reward`,
    `calibrated_reward`, `log_ratio` (to the reference, in nats), `satisfied`, `verdicts` (judge → outcome and reason)
    and `gold`.

    Args:
        path: the file.
        every: the number of updates between two batches of training samples.
        per_task: the number of samples of each task in a batch.
        per_evaluation: the number of samples of each task at an evaluation.
    """

    def __init__(
        self,
        path: str,
        every: Annotated[int, Ge(1), Unit("updates")] = 10,
        per_task: Annotated[int, Ge(1), Unit("samples")] = 4,
        per_evaluation: Annotated[int, Ge(1), Unit("samples")] = 20,
    ) -> None:
        check_arguments(SampleLog, locals())
        self.path = Path(path)
        self.every = every
        self.per_task = per_task
        self.per_evaluation = per_evaluation

    def on_training_batch(
        self,
        module: LightningModule,
        expert: Expert,
        rollout: Rollout,
        verdicts: Verdicts,
        training_batch: TrainingBatch,
    ) -> None:
        """Keeps the first responses of an update's batch."""
        if module.global_step % self.every or not module.trainer.is_global_zero:
            return
        kept = list(range(min(self.per_task, len(rollout.responses))))
        columns = {
            "reward": float_list(training_batch.reward.flatten()),
            "calibrated_reward": float_list(
                calibrated_reward(training_batch.reward, training_batch.baseline.reward).flatten()
            ),
            "log_ratio": float_list(log_ratio(training_batch).flatten()),
        }
        append_json_lines(self.path, [_row(module, expert, "train", rollout, verdicts, columns, None, i) for i in kept])

    def on_evaluation(self, module: LightningModule, expert: Expert, label: str, result: Evaluated) -> None:
        """Keeps the first responses of an evaluation."""
        kept = list(range(min(self.per_evaluation, len(result.rollout.responses))))
        columns = {
            "reward": float_list(result.reward),
            "calibrated_reward": _calibrated(module, expert, result, kept),
            "log_ratio": float_list(result.log_ratio),
        }
        if not module.trainer.is_global_zero:
            return
        rows = [
            _row(module, expert, "held_out", result.rollout, result.verdicts, columns, result.gold, i) for i in kept
        ]
        append_json_lines(self.path, rows)
        for logger in module.trainer.loggers:
            if isinstance(logger, WandbLogger):
                shown = [{**row, "verdicts": orjson.dumps(row["verdicts"]).decode()} for row in rows]
                logger.log_table(
                    f"samples/{expert.name}",
                    columns=list(shown[0]),
                    data=[list(row.values()) for row in shown],
                    step=module.global_step,
                )


def _calibrated(module: Any, expert: Expert, result: Evaluated, kept: Sequence[int]) -> list[float]:
    prompts = [result.rollout.prompts[i] for i in kept]
    module.prepare_baselines(expert, prompts)
    baselines = module.baselines[expert.name].lookup(prompts)
    reward = result.reward[list(kept)]
    return float_list(torch.sigmoid(reward - torch.tensor([b.reward for b in baselines])))


def _row(
    module: LightningModule,
    expert: Expert,
    split: str,
    rollout: Rollout,
    verdicts: Verdicts,
    columns: Mapping[str, Sequence[float]],
    gold: Sequence[Verdict] | None,
    index: int,
) -> dict[str, Any]:
    sample = rollout.samples[index]
    decided = bool(verdicts.decided[index])
    return {
        "step": module.global_step,
        "split": split,
        "task": expert.name,
        "key": sample.prompt.key,
        "prompt": sample.prompt.text,
        "response": sample.response,
        **{name: values[index] for name, values in columns.items()},
        "satisfied": bool(verdicts.satisfied[index]) if decided else None,
        "verdicts": {
            judge: {"outcome": given[index].outcome.value, "reason": given[index].reason}
            for judge, given in verdicts.by_judge.items()
        },
        "gold": None if gold is None else gold[index].outcome.value,
    }
