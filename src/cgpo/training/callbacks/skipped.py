"""Counts updates that were skipped for numbers that are not finite, keeps their batches, and ends hopeless runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from lightning import LightningModule

from cgpo.bounds import Unit, check_arguments
from cgpo.errors import UserError
from cgpo.files import json_lines, write_atomically
from cgpo.optimizer.calibration import log_ratio
from cgpo.progress import say
from cgpo.tensors import float_list, int_list
from cgpo.training.observer import Observer
from cgpo.types import Rollout, TrainingBatch


class SkippedUpdates(Observer):
    """Keeps the batch of each skipped update, and ends the run if there are too many.

    A batch goes into `update-<number>-process-<rank>.jsonl`: first a row with `problems`, by task or of the `gradient`;
    then a row for each response of this process: `task`, `key`, `prompt`, `response`, `tokens`, `reward`,
    `baseline_reward`, `log_ratio`, `satisfied`, `decided`. A number that is not finite
    is written as a text, `"nan"`.

    `skipped_updates` is logged whenever there is one more. The usual causes are a learning rate that is too high, half
    precision, and a reward model that overflows.

    Args:
        folder: the folder of the batches, which is made when there is one.
        most: the most skipped updates of a run; one more ends it. `None` for any number.
    """

    def __init__(self, folder: str, most: Annotated[int, Ge(0), Unit("updates")] | None = 3) -> None:
        check_arguments(SkippedUpdates, locals())
        self.folder = Path(folder)
        self.most = most
        self.count = 0

    def on_skipped(self, module: LightningModule, problems: Mapping[str, str], judged: Mapping[str, Any]) -> None:
        """Writes the batch, shows a line, and counts.

        Raises:
            UserError: there are more skipped updates than the run may have.
        """
        self.count += 1
        # Lightning has counted the update already.
        number = module.global_step
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [{"problems": dict(problems)}, *(row for task, of in judged.items() for row in _rows(task, of))]
        file = self.folder / f"update-{number:08d}-process-{module.global_rank}.jsonl"
        write_atomically(file, json_lines(rows))
        reasons = "; ".join(f"{where}: {what}" for where, what in problems.items())
        if module.trainer.is_global_zero:
            lies = f"its batch lies in {self.folder}"
            say(f"update {number} is skipped, the weights stay as they are: {reasons}; {lies}", important=True)
        for logger in module.trainer.loggers:
            logger.log_metrics({"skipped_updates": float(self.count)}, number)
        if self.most is not None and self.count > self.most:
            raise UserError(
                f"{self.count} updates were skipped, more than callbacks.skipped.most={self.most}: {reasons}; "
                f"their batches lie in {self.folder}"
            )

    def state_dict(self) -> dict[str, int]:
        """Returns how many there were."""
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continues counting."""
        self.count = state_dict["count"]


def _rows(task: str, judged: Any) -> Iterator[dict[str, Any]]:
    """Makes a row for each response of a task's batch (`cgpo.training.module.JudgedRollout`)."""
    rollout: Rollout = judged.rollout
    training_batch: TrainingBatch = judged.training_batch
    copies = max(1, rollout.copies)
    columns = {
        "reward": float_list(training_batch.reward.flatten()),
        "baseline_reward": float_list(training_batch.baseline.reward.repeat_interleave(copies)),
        "log_ratio": float_list(log_ratio(training_batch).flatten()),
    }
    ids = [int_list(ids[mask]) for ids, mask in zip(rollout.response_ids, rollout.response_mask, strict=True)]
    for i, sample in enumerate(rollout.samples):
        yield {
            "task": task,
            "key": sample.prompt.key,
            "prompt": sample.prompt.text,
            "response": sample.response,
            "tokens": ids[i],
            **{name: _finite(values[i]) for name, values in columns.items()},
            "satisfied": bool(training_batch.satisfied.flatten()[i]),
            "decided": bool(training_batch.decided.flatten()[i]),
        }


def _finite(value: float) -> float | str:
    return value if abs(value) < float("inf") else str(value)
