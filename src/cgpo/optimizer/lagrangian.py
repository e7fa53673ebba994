"""Primal–dual constraints: the alternative that the paper argues against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cgpo.errors import UserError
from cgpo.optimizer.bounds import require_not_negative, require_positive
from cgpo.protocols import ConstrainedOptimizer
from cgpo.types import Objective, TrainingBatch


@dataclass
class Lagrangian:
    """An unconstrained optimizer on rewards from which violations are priced off, with one multiplier for each judge.

        r' = (r − Σ_j λ_j · 1[judge j finds a violation]) / (1 + Σ_j λ_j)
        λ_j ← max(0, λ_j + η · (violation rate of judge j − d))

    as PPO-Lagrangian does (Ray et al. 2019; with language models Dai et al. 2023, arXiv 2310.12773, eqs. 8 and 31).
    Each task has multipliers of its own, which move at each call. Undecided judges price nothing.

    Attributes:
        optimizer: what the penalised reward is given to.
        learning_rate: η.
        limit: d, the violation rate that is allowed.
        initial: of each multiplier.
        multipliers: by judge, as they stand.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    optimizer: ConstrainedOptimizer
    learning_rate: float = 0.1
    limit: float = 0.05
    initial: float = 0.0
    multipliers: dict[str, float] = field(default_factory=dict[str, float], init=False)

    def __post_init__(self) -> None:
        require_positive("Lagrangian", "learning_rate", self.learning_rate)
        require_not_negative("Lagrangian", "initial", self.initial)
        require_not_negative("Lagrangian", "limit", self.limit)
        if self.limit >= 1:
            raise UserError(f"Lagrangian.limit is {self.limit}: it must be a rate below 1")

    @property
    def uses_baseline_logprobs(self) -> bool:
        """As the optimizer inside."""
        return self.optimizer.uses_baseline_logprobs

    @property
    def min_responses(self) -> int:
        """As the optimizer inside."""
        return self.optimizer.min_responses

    @property
    def uses_values(self) -> bool:
        """As the optimizer inside."""
        return getattr(self.optimizer, "uses_values", False)

    def state_dict(self) -> dict[str, dict[str, float]]:
        """The multipliers as they stand."""
        return {"multipliers": dict(self.multipliers)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Goes on from such a state."""
        self.multipliers = dict(state["multipliers"])

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The inner objective of the penalised rewards; then the multipliers move.

        Args:
            batch: the task's whole batch, with each judge's verdicts.

        Returns:
            The inner loss; the inner metrics and `multiplier/<judge>`.
        """
        for judge in batch.violated:
            self.multipliers.setdefault(judge, self.initial)
        objective = self.optimizer(replace(batch, reward=self._penalised(batch.reward, batch.violated)))
        for judge, violated in batch.violated.items():
            excess = violated.float().mean().item() - self.limit
            self.multipliers[judge] = max(0.0, self.multipliers[judge] + self.learning_rate * excess)
        shown = {f"multiplier/{judge}": value for judge, value in self.multipliers.items()}
        return Objective(objective.loss, {**objective.metrics, **shown})

    def _penalised(self, reward: Tensor, violated: Mapping[str, Tensor]) -> Tensor:
        price = torch.zeros_like(reward)
        for judge, found in violated.items():
            price = price + self.multipliers[judge] * found
        return (reward - price) / (1.0 + sum(self.multipliers[judge] for judge in violated))
