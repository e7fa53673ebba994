"""REINFORCE on whole responses, with two baselines; nothing is constrained, the KL divergence is priced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from cgpo.bounds import check_fields
from cgpo.optimizer.base import ConstrainedOptimizer
from cgpo.optimizer.calibration import check_batch, log_ratio, sequence_logprob
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class REINFORCE(ConstrainedOptimizer):
    """The policy gradient with the batch's mean as its baseline (Williams 1992).

        R = r(s, a) − β·ρ(s, a),   g = 1/n Σ_i (R_i − 1/n Σ_j R_j) ∇ log π_w(a_i|s_i)

    `n` counts the responses of the task's whole batch. Verdicts take no part: an unconstrained baseline.

    Attributes:
        beta: β, the price of a nat of log-ratio to the reference.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    beta: Annotated[float, Ge(0)] = 0.05

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the loss whose negative gradient is `g`.

        Args:
            batch: the task's whole batch, with at least `min_responses` a prompt.

        Returns:
            The scalar loss; metric `penalised_reward`, the mean of `R`.
        """
        reward = penalised_reward(batch, self.beta)
        return policy_gradient(batch, reward - self.baseline(reward), reward)

    def baseline(self, reward: Tensor) -> Tensor:
        """Returns what a reward is compared with, the mean of the batch; it broadcasts with `[B, K]`."""
        return reward.mean()


class RLOO(REINFORCE):
    """REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740, section 3.2).

        g = 1/n Σ_i (R_i − 1/(K−1) Σ_{j≠i} R_j) ∇ log π_w(a_i|s)

    with `R = r − β·ρ`, and `j` over the other responses to the same prompt.

    Attributes:
        beta: β, the price of a nat of log-ratio to the reference.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    min_responses = 2

    def baseline(self, reward: Tensor) -> Tensor:
        """Returns the mean reward of the other responses to the same prompt; `[B, K]`."""
        return (reward.sum(-1, keepdim=True) - reward) / (reward.shape[-1] - 1)


def penalised_reward(batch: TrainingBatch, beta: float) -> Tensor:
    """Computes `r(s, a) − β·ρ(s, a)`; `[B, K]`, without a gradient."""
    return batch.reward - beta * log_ratio(batch).detach()


def policy_gradient(batch: TrainingBatch, advantage: Tensor, reward: Tensor) -> Objective:
    """Computes `−1/n Σ A_i log π_w(a_i|s_i)`; `advantage` and `reward` are `[B, K]`."""
    check_batch(batch)
    loss = -(advantage * sequence_logprob(batch)).sum() / advantage.numel()
    return Objective(loss, {"penalised_reward": reward.mean().item()})
