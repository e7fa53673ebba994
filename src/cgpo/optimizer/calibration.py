"""The quantities that optimizers share: calibrated and constrained rewards, and the log-ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from cgpo.tensors import check_shape, masked_sum
from cgpo.types import TrainingBatch


def calibrated_reward(reward: Tensor, baseline_reward: Tensor) -> Tensor:
    """Computes the probability that a response is better than the prompt's baseline response (eq. 5).

    Args:
        reward: `[B, K]` `r(s, a)`.
        baseline_reward: `[B]` `r(s, ā)`.

    Returns:
        `[B, K]` in (0, 1); 0.5 where the two rewards are equal.
    """
    return torch.sigmoid(reward - baseline_reward.unsqueeze(-1))


def constrained_reward(batch: TrainingBatch) -> Tensor:
    """Computes the calibrated reward of satisfied responses, and 0 for all others (eq. 8); `[B, K]`."""
    return calibrated_reward(batch.reward, batch.baseline.reward).masked_fill(~batch.satisfied, 0.0)


def sequence_logprob(batch: TrainingBatch) -> Tensor:
    """Computes `log π_w(a|s)`, summed over the response's tokens; `[B, K]`, 0 for an empty response."""
    return masked_sum(batch.logprobs, batch.response_mask)


def log_ratio(batch: TrainingBatch) -> Tensor:
    """Computes `ρ(s, a) = log π_w(a|s) − log π_ref(a|s)`, in nats; `[B, K]`."""
    return masked_sum(batch.logprobs - batch.reference_logprobs, batch.response_mask)


def attached_zero(batch: TrainingBatch) -> Tensor:
    """Returns a zero that depends on the log-probabilities, so that a batch without a term still has a gradient."""
    return 0.0 * (batch.logprobs.masked_fill(~batch.response_mask, 0.0).sum())


def check_batch(batch: TrainingBatch) -> None:
    """Checks that the shapes of a batch agree.

    Raises:
        ValueError: naming the first tensor that does not fit.
    """
    check_shape("logprobs", batch.logprobs, None, None, None)
    prompts, responses, tokens = batch.logprobs.shape
    for name in ("reference_logprobs", "sampled_logprobs", "response_mask"):
        check_shape(name, getattr(batch, name), prompts, responses, tokens)
    for name in ("reward", "satisfied", "decided", "identity"):
        check_shape(name, getattr(batch, name), prompts, responses)
    for name in ("reward", "satisfied"):
        check_shape(f"baseline.{name}", getattr(batch.baseline, name), prompts)
