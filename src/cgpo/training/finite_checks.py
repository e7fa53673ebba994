"""Finds numbers that are not finite before they reach the weights."""

from __future__ import annotations

from torch import Tensor

from cgpo.types import TrainingBatch


def not_finite(training_batch: TrainingBatch) -> str | None:
    """Returns in words what of a batch is NaN or infinite, or `None` if everything that counts is finite."""
    mask, decided = training_batch.response_mask, training_batch.decided
    counted: dict[str, tuple[Tensor, Tensor]] = {
        "the reward": (training_batch.reward, decided),
        "the baseline's reward": (training_batch.baseline.reward, decided.any(-1)),
        "the policy's log-probability": (training_batch.logprobs, mask),
        "the reference's log-probability": (training_batch.reference_logprobs, mask),
        "the baseline's log-probability": (training_batch.baseline.logprobs, training_batch.baseline.response_mask),
    }
    if training_batch.values is not None:
        counted["the critic's value"] = (training_batch.values, mask)
    for name, (numbers, counts) in counted.items():
        wrong = int((~numbers.isfinite() & counts).sum())
        if wrong:
            return f"{name} is not finite in {wrong} of {int(counts.sum())} places"
    return None
