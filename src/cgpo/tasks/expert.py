"""A task as an expert (section 4.2), with everything that the multi-task step needs."""

from __future__ import annotations

from dataclasses import dataclass

from cgpo.errors import UserError
from cgpo.judges.base import Judge, check_judge
from cgpo.optimizer.base import ConstrainedOptimizer, check_optimizer
from cgpo.protocols import JudgePanel, RewardModel, Sampler
from cgpo.types import Prompt


@dataclass(frozen=True)
class Expert:
    """One task `D_l` of Algorithm 2.

    Attributes:
        name: the task's name.
        prompts: the prompts that it is trained on.
        held_out: the prompts that it is evaluated on; may be empty.
        reward: the reward model.
        panel: its judges.
        optimizer: its constrained optimizer, with `KL_max` and the other hyper-parameters.
        sampler: samples its responses.
        batch_size: `B`, the number of prompts per iteration.
        responses_per_prompt: `K`.
        weight: `ρ_l`, the weight of its gradient.
        gold: the judge of success on held-out prompts, which training never sees; `None` if success is not defined.
        also: judges that are asked in evaluations without being constraints, which training never sees either.

    Raises:
        UserError: a value is out of its range or of the wrong class; the message names the key.
    """

    name: str
    prompts: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    reward: RewardModel
    panel: JudgePanel
    optimizer: ConstrainedOptimizer
    sampler: Sampler
    batch_size: int
    responses_per_prompt: int
    weight: float = 1.0
    gold: Judge | None = None
    also: JudgePanel | None = None

    def __post_init__(self) -> None:
        where = f"tasks.{self.name}"
        if not self.prompts:
            raise UserError(f"{where}.data: the task has no prompts to train on")
        if self.batch_size < 1:
            raise UserError(f"{where}.batch_size is {self.batch_size}: it must be at least 1")
        least = check_optimizer(f"{where}.optimizer", self.optimizer).min_responses
        if self.responses_per_prompt < least:
            optimizer = type(self.optimizer).__name__
            raise UserError(
                f"{where}.responses_per_prompt is {self.responses_per_prompt}: {optimizer} needs at least {least}"
            )
        if self.gold is not None:
            check_judge(f"{where}.gold", self.gold)
        if not 0 < self.weight < float("inf"):
            raise UserError(f"{where}.weight is {self.weight}: it must be a number above 0")
