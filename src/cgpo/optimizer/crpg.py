"""Calibrated Regularised Policy Gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from cgpo.bounds import Unit, check_fields
from cgpo.optimizer.base import ConstrainedOptimizer
from cgpo.optimizer.calibration import check_batch, constrained_reward, log_ratio, sequence_logprob
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class CRPG(ConstrainedOptimizer):
    """CRPG (arXiv 2409.20370, section 4.1.2, eqs. 9–12): a policy gradient on rewards that violated responses lose.

        R̃_cr = max{1 − ρ / KL_max, 0} · R_cr                              (eq. 11)
        g̃    = 1/n Σ_i ∇ log π_w(a_i|s_i) · [R̃_cr,i − 1/n Σ_j R̃_cr,j]     (eq. 12)

    `n` counts the decided responses of the task's whole batch. If all of them are violated the gradient is exactly 0.

    A variant that rewards responses differently overrides `earned`; the rest of eq. 12 stays.

    Attributes:
        kl_max: the task's KL limit in nats a response; at `ρ ≥ kl_max` a response earns nothing.
        factor_cap: the upper limit of the factor `1 − ρ / KL_max`, which exceeds 1 where `ρ < 0`; the paper has none.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    kl_max: Annotated[float, Gt(0), Unit("nats a response")]
    factor_cap: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def earned(self, batch: TrainingBatch) -> Tensor:
        """Computes what each response earns, `R̃_cr` (eq. 11): `[B, K]`, a constant for the gradient.

        The value of an undecided response is never used.

        Args:
            batch: the task's whole batch.
        """
        factor = (1.0 - log_ratio(batch).detach() / self.kl_max).clamp(min=0.0, max=self.factor_cap)
        return factor * constrained_reward(batch)

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the loss whose negative gradient is eq. 12.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metrics `regularised_reward` (the mean of R̃_cr) and `beyond_kl_max` (the share of decided
            responses with `ρ ≥ kl_max`).
        """
        check_batch(batch)
        decided = batch.decided
        n = decided.sum().clamp(min=1)
        reward = self.earned(batch).masked_fill(~decided, 0.0)
        mean = reward.sum() / n
        advantage = (reward - mean).masked_fill(~decided, 0.0)
        loss = -(advantage * sequence_logprob(batch)).sum() / n
        beyond = ((log_ratio(batch).detach() >= self.kl_max) & decided).sum() / n
        return Objective(loss, {"regularised_reward": mean.item(), "beyond_kl_max": beyond.item()})
