"""Proximal Policy Optimization with a learned value function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cgpo.bounds import check_fields
from cgpo.optimizer.base import ConstrainedOptimizer
from cgpo.optimizer.calibration import check_batch
from cgpo.optimizer.grpo import clipped_gain
from cgpo.tensors import check_shape, masked_sum
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class PPO(ConstrainedOptimizer):
    """PPO as RLHF uses it (arXiv 1707.06347, eqs. 7 and 9; arXiv 2203.02155, appendix C.4), with a critic's values.

    Verdicts take no part: an unconstrained baseline.

        r_t = −β·(log π_old − log π_ref)(a_t),  and at the last token  + r(s, a)
        Â_t = Σ_l (γλ)^l δ_{t+l},   δ_t = r_t + γ V_old(s_{t+1}) − V_old(s_t)     (GAE, arXiv 1506.02438, eq. 16)
        J = mean_t min(w_t Â_t, clip(w_t, 1−c, 1+c) Â_t) − v·½ mean_t max((V − R_t)², (V_clipped − R_t)²)

    over all tokens of the task's batch, with `R_t = Â_t + V_old(s_t)`, and `V_clipped` within `value_clip` of `V_old`.

    Attributes:
        beta: β, the price of a nat of log-ratio to the reference.
        gamma: γ, the discount.
        gae_lambda: λ, the decay of the sum.
        clip: c, how far `w_t` may differ from 1.
        value_clip: how far the value may move from the old one before its loss is flat.
        value_weight: v, the weight of the value loss.
        whiten: whether to standardise the advantages over the batch's tokens.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    beta: Annotated[float, Ge(0)] = 0.05
    gamma: Annotated[float, Gt(0)] = 1.0
    gae_lambda: Annotated[float, Gt(0)] = 0.95
    clip: Annotated[float, Gt(0)] = 0.2
    value_clip: Annotated[float, Gt(0)] = 0.2
    value_weight: Annotated[float, Gt(0)] = 0.5
    whiten: bool = True
    uses_values = True

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes `−J`, to be differentiated by the log-probabilities and by the values.

        Args:
            batch: the task's whole batch, with `values`.

        Returns:
            The scalar loss; metrics `value_loss`, `explained_variance` (of the returns by the old values), `clipped`
            (share of tokens whose `w_t` was cut).

        Raises:
            ValueError: the batch has no values.
        """
        check_batch(batch)
        if batch.values is None or batch.sampled_values is None:
            raise ValueError("PPO needs values: choose an update with a critic")
        check_shape("values", batch.values, *batch.logprobs.shape)
        mask = batch.response_mask
        tokens = mask.sum().clamp(min=1)
        old = batch.sampled_values.detach().masked_fill(~mask, 0.0)
        advantage = generalised_advantages(self._rewards(batch), old, mask, self.gamma, self.gae_lambda)
        returns = advantage + old
        if self.whiten:
            advantage = _whitened(advantage, mask)
        moved = (batch.logprobs - batch.sampled_logprobs).masked_fill(~mask, 0.0)
        gained, clipped = clipped_gain(moved, advantage, self.clip)
        value = batch.values.masked_fill(~mask, 0.0)
        near = old + (value - old).clamp(-self.value_clip, self.value_clip)
        errors = torch.maximum((value - returns) ** 2, (near - returns) ** 2)
        value_loss = 0.5 * masked_sum(errors, mask).sum() / tokens
        loss = -masked_sum(gained, mask).sum() / tokens + self.value_weight * value_loss
        metrics = {
            "value_loss": value_loss.item(),
            "explained_variance": _explained(old, returns, mask),
            "clipped": ((clipped & mask).sum() / tokens).item(),
        }
        return Objective(loss, metrics)

    def _rewards(self, batch: TrainingBatch) -> Tensor:
        """Computes `r_t`; `[B, K, T]`. An empty response has no token that could earn anything."""
        mask = batch.response_mask
        price = -self.beta * (batch.sampled_logprobs - batch.reference_logprobs)
        last = mask & (mask.cumsum(-1) == mask.sum(-1, keepdim=True))
        return price.masked_fill(~mask, 0.0) + last * batch.reward.unsqueeze(-1)


def generalised_advantages(reward: Tensor, value: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Computes generalised advantage estimates (arXiv 1506.02438, eq. 16); nothing follows the last token.

    Args:
        reward: `[..., T]`, 0 where masked.
        value: `[..., T]` the value of the state before each token, 0 where masked.
        mask: `[..., T]` bool, True on a prefix of each row.
        gamma: the discount.
        gae_lambda: the decay of the sum.

    Returns:
        `[..., T]`, 0 where masked.
    """
    advantages = torch.zeros_like(value)
    following_value, following = torch.zeros_like(value[..., 0]), torch.zeros_like(value[..., 0])
    for t in reversed(range(value.shape[-1])):
        delta = reward[..., t] + gamma * following_value - value[..., t]
        following = (delta + gamma * gae_lambda * following).masked_fill(~mask[..., t], 0.0)
        following_value = value[..., t]
        advantages[..., t] = following
    return advantages


def _whitened(values: Tensor, mask: Tensor) -> Tensor:
    count = mask.sum().clamp(min=1)
    mean = values.sum() / count
    centred = (values - mean).masked_fill(~mask, 0.0)
    return centred / (centred.square().sum() / count + 1e-8).sqrt()


def _explained(value: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Computes `1 − Var(R − V) / Var(R)`, or 0 if all returns are equal."""
    variance = returns[mask].var(correction=0)
    if not variance > 0:
        return 0.0
    return (1 - (returns - value)[mask].var(correction=0) / variance).item()
