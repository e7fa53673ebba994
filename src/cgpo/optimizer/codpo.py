"""Constrained Online Direct Preference Optimization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from cgpo.optimizer.bounds import require_not_negative, require_positive
from cgpo.optimizer.calibration import attached_zero, check_batch, log_ratio, sequence_logprob
from cgpo.tensors import first_argmax, first_argmin, take
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class CODPO:
    """CODPO (arXiv 2409.20370, section 4.1.2, eqs. 13–15): DPO on the best satisfied and the worst violated response.

        ℓ = log σ(β·ρ(s,a+) − β·ρ(s,a−)),   ℓ̃ = ℓ + λ/|a+| · log π_w(a+|s)     (eq. 14)

    and `−ℓ̃` is minimised, averaged over the prompts of the task's batch; a skipped prompt contributes 0.

    Attributes:
        beta: β, the strength of the implicit KL penalty.
        positive_weight: λ, the weight of the length-normalised log-likelihood of `a+`.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    beta: float = 0.1
    positive_weight: float = 0.1
    uses_baseline_logprobs = False
    min_responses = 2

    def __post_init__(self) -> None:
        require_positive("CODPO", "beta", self.beta)
        require_not_negative("CODPO", "positive_weight", self.positive_weight)

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The mean of `−ℓ̃` over the batch's prompts.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metrics `paired_prompts` (share of prompts with a pair) and `pair_accuracy` (share of
            pairs whose `a+` has the higher implicit reward).
        """
        check_batch(batch)
        positive, negative, paired = select_pairs(batch)
        ratio, logprob = log_ratio(batch), sequence_logprob(batch)
        length = batch.response_mask.sum(-1).clamp(min=1)
        margin = self.beta * (take(ratio, positive) - take(ratio, negative))
        likelihood = take(logprob, positive) / take(length, positive)
        terms = logsigmoid(margin) + self.positive_weight * likelihood
        loss = attached_zero(batch) - torch.where(paired, terms, 0.0).sum() / paired.numel()
        pairs = paired.sum()
        accuracy = ((margin > 0) & paired).sum() / pairs.clamp(min=1)
        return Objective(loss, {"paired_prompts": (pairs / paired.numel()).item(), "pair_accuracy": accuracy.item()})


def select_pairs(batch: TrainingBatch) -> tuple[Tensor, Tensor, Tensor]:
    """For each prompt `a+`, the highest reward among satisfied, and `a−`, the lowest among violated (eq. 13).

    Where nothing is violated, `a−` is the lowest among the satisfied that are a different response than `a+`.

    Returns:
        `[B]` index of `a+`, `[B]` index of `a−`, `[B]` bool: the prompt has a pair.
    """
    satisfied = batch.satisfied & batch.decided
    violated = ~batch.satisfied & batch.decided
    positive = first_argmax(batch.reward, satisfied)
    other = batch.identity != take(batch.identity, positive).unsqueeze(-1)
    candidates = torch.where(violated.any(-1, keepdim=True), violated, satisfied) & other
    negative = first_argmin(batch.reward, candidates)
    return positive, negative, satisfied.any(-1) & candidates.any(-1)
