"""Evaluates before, during and after training."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from annotated_types import Ge
from lightning import LightningModule, Trainer

from cgpo.bounds import Unit, check_arguments
from cgpo.evaluation.held_out import Evaluated, Evaluation, evaluate
from cgpo.progress import bar
from cgpo.protocols import RewardModel
from cgpo.tasks.expert import Expert
from cgpo.training.observer import Observer
from cgpo.types import Prompt

WHEN = {"before": "before training", "during": "during training", "after": "after training"}
"""How an evaluation's bar describes its label."""


class Evaluator(Observer):
    """Evaluates every task on its held-out prompts and notifies the other observers.

    Args:
        prompts: the most held-out prompts of a task before and after training.
        prompts_during: the most held-out prompts of a task during training.
        every: the number of updates between two evaluations during training; 0 for none.
        measures: further numbers of a response that are reported, by name.
    """

    def __init__(
        self,
        prompts: Annotated[int, Ge(0), Unit("prompts")] = 500,
        prompts_during: Annotated[int, Ge(0), Unit("prompts")] = 100,
        every: Annotated[int, Ge(0), Unit("updates")] = 0,
        measures: Mapping[str, RewardModel] | None = None,
    ) -> None:
        check_arguments(Evaluator, locals())
        self.prompts = prompts
        self.prompts_during = prompts_during
        self.every = every
        self.measures = measures or {}
        self.results: dict[str, dict[str, Evaluation]] = {}
        self.seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluates before training, unless the run is resumed."""
        if pl_module.global_step == 0:
            self._evaluate(pl_module, "before", self.prompts)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluates during training, if it is time."""
        step = pl_module.global_step
        if self.every and step % self.every == 0 and step < trainer.max_steps:
            self._evaluate(pl_module, "during", self.prompts_during)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluates after training."""
        self._evaluate(pl_module, "after", self.prompts)

    def state_dict(self) -> dict[str, Any]:
        """Returns the evaluations so far, and the seconds that they took."""
        results = {task: {label: asdict(of) for label, of in found.items()} for task, found in self.results.items()}
        return {"results": results, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues with earlier evaluations."""
        self.results = {
            task: {label: Evaluation(**of) for label, of in found.items()}
            for task, found in state_dict["results"].items()
        }
        self.seconds = state_dict["seconds"]

    def _evaluate(self, module: Any, label: str, most: int) -> None:
        start = time.perf_counter()
        asked = [(expert, prompts) for expert in module.experts if (prompts := expert.held_out[:most])]
        with bar(f"evaluating {WHEN[label]}", sum(len(prompts) for _, prompts in asked)) as work:
            for expert, prompts in asked:
                module.notify("on_stage_start", "evaluation", expert)
                result = self._of_task(module, expert, prompts)
                self.results.setdefault(expert.name, {})[label] = result.result
                module.notify("on_evaluation", expert, label, result)
                work.advance(len(prompts), reward=result.result.reward, success=result.result.success)
        self.seconds += time.perf_counter() - start

    def _of_task(self, module: Any, expert: Expert, prompts: Sequence[Prompt]) -> Evaluated:
        return evaluate(
            module.policy,
            module.reference,
            expert,
            prompts,
            module.seed,
            self.measures,
            processes=module.processes,
        )
