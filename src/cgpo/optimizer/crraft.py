"""Calibrated Regularised Reward-Ranking Finetuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt

from cgpo.bounds import Unit, check_fields
from cgpo.optimizer.base import Choice, ConstrainedOptimizer
from cgpo.optimizer.calibration import attached_zero, calibrated_reward, check_batch, log_ratio, sequence_logprob
from cgpo.tensors import first_argmax, masked_sum, take
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class CRRAFT(ConstrainedOptimizer):
    """CRRAFT (arXiv 2409.20370, section 4.1.2, eqs. 16–18): fine-tuning on each prompt's best permitted response.

    Per prompt the violated responses and those with `ρ > KL_max` are dropped; `a*` is the highest reward of the rest,
    or the baseline response `ā` if none is left and `ā` itself passes every judge; otherwise the prompt is skipped. The
    ascent direction is `1/n Σ R_calib(s, a*) ∇ log π_w(a*|s)`, `n` the prompts of the task's batch, skipped included.

    A variant that trains on other responses overrides `choose`.

    Attributes:
        kl_max: the task's KL limit in nats a response.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    kl_max: Annotated[float, Gt(0), Unit("nats a response")]
    uses_baseline_logprobs = True

    def __post_init__(self) -> None:
        check_fields(self)

    def choose(self, batch: TrainingBatch) -> Choice:
        """Chooses for each prompt `a*`, the best satisfied response within the KL limit.

        Args:
            batch: the task's whole batch.
        """
        eligible = batch.satisfied & batch.decided & (log_ratio(batch).detach() <= self.kl_max)
        return Choice(first_argmax(batch.reward, eligible), eligible.any(-1))

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the loss whose negative gradient is eq. 18.

        Args:
            batch: the task's whole batch, with the baseline responses' log-probabilities.

        Returns:
            The scalar loss; metrics `chosen_prompts`, `baseline_prompts` (the shares of prompts trained on a response
            of their own, and on the baseline response) and `beyond_kl_max` (the share of satisfied responses).
        """
        check_batch(batch)
        choice = self.choose(batch)
        chosen = choice.exists
        fallback = ~chosen & batch.baseline.satisfied
        calibrated = take(calibrated_reward(batch.reward, batch.baseline.reward), choice.response)
        own = calibrated.masked_fill(~chosen, 0.0) * take(sequence_logprob(batch), choice.response)
        baseline = 0.5 * masked_sum(batch.baseline.logprobs, batch.baseline.response_mask)
        terms = own + torch.where(fallback, baseline, 0.0)
        n = chosen.numel()
        satisfied = batch.satisfied & batch.decided
        beyond = (satisfied & (log_ratio(batch).detach() > self.kl_max)).sum() / satisfied.sum().clamp(min=1)
        metrics = {
            "chosen_prompts": (chosen.sum() / n).item(),
            "baseline_prompts": (fallback.sum() / n).item(),
            "beyond_kl_max": beyond.item(),
        }
        return Objective(attached_zero(batch) - terms.sum() / n, metrics)
