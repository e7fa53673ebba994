"""Numbers that are not finite, before they reach the weights."""

from __future__ import annotations

from torch import Tensor

from cgpo.types import Scored


def not_finite(scored: Scored) -> str | None:
    """What of a batch is NaN or infinite, in words; `None` where all that counts is finite."""
    mask, decided = scored.response_mask, scored.decided
    counted: dict[str, tuple[Tensor, Tensor]] = {
        "the reward": (scored.reward, decided),
        "the baseline's reward": (scored.baseline.reward, decided.any(-1)),
        "the policy's log-probability": (scored.logprobs, mask),
        "the reference's log-probability": (scored.reference_logprobs, mask),
        "the baseline's log-probability": (scored.baseline.logprobs, scored.baseline.response_mask),
    }
    if scored.values is not None:
        counted["the critic's value"] = (scored.values, mask)
    for name, (numbers, counts) in counted.items():
        wrong = int((~numbers.isfinite() & counts).sum())
        if wrong:
            return f"{name} is not finite in {wrong} of {int(counts.sum())} places"
    return None
