"""Evaluations before, during and after training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lightning import LightningModule, Trainer

from cgpo.evaluation.held_out import Evaluated, Evaluation, evaluate
from cgpo.protocols import RewardModel
from cgpo.tasks.expert import Expert
from cgpo.training.observer import Observer


class Evaluator(Observer):
    """Evaluates every task on its held-out prompts and tells the other observers.

    Args:
        prompts: the most held-out prompts a task before and after training.
        prompts_during: the most a task on the way.
        every: updates between two evaluations on the way; 0 for none.
        measures: further numbers of a response that are reported, by name.
    """

    def __init__(
        self,
        prompts: int = 500,
        prompts_during: int = 100,
        every: int = 0,
        measures: Mapping[str, RewardModel] | None = None,
    ) -> None:
        self.prompts = prompts
        self.prompts_during = prompts_during
        self.every = every
        self.measures = measures or {}
        self.results: dict[str, dict[str, Evaluation]] = {}
        self.seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """`before`, unless the run is resumed."""
        if pl_module.global_step == 0:
            self._evaluate(pl_module, "before", self.prompts)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """`during`."""
        step = pl_module.global_step
        if self.every and step % self.every == 0 and step < trainer.max_steps:
            self._evaluate(pl_module, "during", self.prompts_during)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """`after`."""
        self._evaluate(pl_module, "after", self.prompts)

    def state_dict(self) -> dict[str, Any]:
        """What was found so far, and the seconds it took."""
        results = {task: {label: asdict(of) for label, of in found.items()} for task, found in self.results.items()}
        return {"results": results, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with what was found before."""
        self.results = {
            task: {label: Evaluation(**of) for label, of in found.items()}
            for task, found in state_dict["results"].items()
        }
        self.seconds = state_dict["seconds"]

    def _evaluate(self, module: Any, label: str, most: int) -> None:
        start = time.perf_counter()
        for expert in module.experts:
            if expert.held_out and most:
                module.notify("on_stage_start", "evaluation", expert)
                result = self._of_task(module, expert, most)
                self.results.setdefault(expert.name, {})[label] = result.result
                module.notify("on_evaluation", expert, label, result)
        self.seconds += time.perf_counter() - start

    def _of_task(self, module: Any, expert: Expert, most: int) -> Evaluated:
        prompts = expert.held_out[:most]
        return evaluate(
            module.policy,
            module.reference,
            expert,
            prompts,
            module.seed,
            self.measures,
            processes=module.processes,
        )
