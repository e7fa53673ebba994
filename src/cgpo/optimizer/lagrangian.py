"""Primal–dual constraints, the alternative that the paper argues against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, cast

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from cgpo.bounds import check_fields
from cgpo.optimizer.base import ConstrainedOptimizer, OptimizerState, StatefulOptimizer, check_optimizer
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class Lagrangian(StatefulOptimizer):
    """An unconstrained optimizer on rewards from which violations are priced off, with one multiplier for each judge.

        r' = (r − Σ_j λ_j · 1[judge j finds a violation]) / (1 + Σ_j λ_j)
        λ_j ← max(0, λ_j + η · (violation rate of judge j − d))

    as PPO-Lagrangian does (Ray et al. 2019; with language models Dai et al. 2023, arXiv 2310.12773, eqs. 8 and 31).
    The multipliers are the optimizer's state: each task has its own, and they move at each call. Undecided judges price
    nothing.

    Attributes:
        optimizer: what the penalised reward is given to.
        learning_rate: η, how fast the multipliers move.
        limit: d, the violation rate that is allowed.
        initial: the multipliers before the first batch.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    optimizer: ConstrainedOptimizer
    learning_rate: Annotated[float, Gt(0)] = 0.1
    limit: Annotated[float, Ge(0), Lt(1)] = 0.05
    initial: Annotated[float, Ge(0)] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_optimizer("Lagrangian.optimizer", self.optimizer)

    @property
    def uses_baseline_logprobs(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The same as of the optimizer inside."""
        return self.optimizer.uses_baseline_logprobs

    @property
    def uses_values(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The same as of the optimizer inside."""
        return self.optimizer.uses_values

    @property
    def min_responses(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The same as of the optimizer inside."""
        return self.optimizer.min_responses

    def initial_state(self) -> OptimizerState:
        """Returns the state before the first call.

        `multipliers` is empty, since a judge's multiplier is `initial` when the judge first appears; `inner` is the
        state of the optimizer inside.
        """
        return {"multipliers": {}, "inner": self.optimizer.initial_state()}

    def advance(self, batch: TrainingBatch, state: OptimizerState) -> tuple[Objective, OptimizerState]:
        """Computes the inner objective of the penalised rewards, and the next multipliers.

        Args:
            batch: the task's whole batch, with each judge's verdicts.
            state: what the last call returned.

        Returns:
            The inner loss, with the inner metrics and `multiplier/<judge>`; and the next state.
        """
        before = cast("Mapping[str, float]", state["multipliers"])
        multipliers = {**before, **{judge: before.get(judge, self.initial) for judge in batch.violated}}
        penalised = replace(batch, reward=_penalised(batch, multipliers))
        objective, inner = self.optimizer.advance(penalised, cast("OptimizerState", state["inner"]))
        for judge, violated in batch.violated.items():
            excess = violated.float().mean().item() - self.limit
            multipliers[judge] = max(0.0, multipliers[judge] + self.learning_rate * excess)
        shown = {f"multiplier/{judge}": value for judge, value in multipliers.items()}
        objective = Objective(objective.loss, {**objective.metrics, **shown})
        return objective, {"multipliers": multipliers, "inner": inner}


def _penalised(batch: TrainingBatch, multipliers: Mapping[str, float]) -> Tensor:
    """Computes `r'`; `[B, K]`."""
    price = torch.zeros_like(batch.reward)
    for judge, found in batch.violated.items():
        price = price + multipliers[judge] * found
    return (batch.reward - price) / (1.0 + sum(multipliers[judge] for judge in batch.violated))
