"""Calibrated Regularised Policy Gradient."""

from __future__ import annotations

from dataclasses import dataclass

from cgpo.optimizer.bounds import require_positive
from cgpo.optimizer.calibration import check_batch, constrained_reward, log_ratio, sequence_logprob
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class CRPG:
    """CRPG (arXiv 2409.20370, section 4.1.2, eqs. 9–12): a policy gradient on rewards that violated responses lose.

        R̃_cr = max{1 − ρ / KL_max, 0} · R_cr                              (eq. 11)
        g̃    = 1/n Σ_i ∇ log π_w(a_i|s_i) · [R̃_cr,i − 1/n Σ_j R̃_cr,j]     (eq. 12)

    `n` counts the decided responses of the task's whole batch. If all of them are violated the gradient is exactly 0.

    Attributes:
        kl_max: KL limit of the task in nats a response; at `ρ ≥ kl_max` a response earns nothing.
        factor_cap: upper cap of the factor `1 − ρ / KL_max`, which exceeds 1 where `ρ < 0`; the paper has none.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    kl_max: float
    factor_cap: float | None = None
    uses_baseline_logprobs = False
    min_responses = 1

    def __post_init__(self) -> None:
        require_positive("CRPG", "kl_max", self.kl_max)
        if self.factor_cap is not None:
            require_positive("CRPG", "factor_cap", self.factor_cap)

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The loss whose negative gradient is eq. 12.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metrics `regularised_reward` (mean of R̃_cr) and `beyond_kl_max` (share of decided
            responses).
        """
        check_batch(batch)
        decided = batch.decided
        n = decided.sum().clamp(min=1)
        ratio = log_ratio(batch).detach()
        factor = (1.0 - ratio / self.kl_max).clamp(min=0.0, max=self.factor_cap)
        reward = (factor * constrained_reward(batch)).masked_fill(~decided, 0.0)
        mean = reward.sum() / n
        advantage = (reward - mean).masked_fill(~decided, 0.0)
        loss = -(advantage * sequence_logprob(batch)).sum() / n
        beyond = ((ratio >= self.kl_max) & decided).sum() / n
        return Objective(loss, {"regularised_reward": mean.item(), "beyond_kl_max": beyond.item()})
