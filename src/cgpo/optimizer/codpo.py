"""Constrained Online Direct Preference Optimization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch.nn.functional import logsigmoid

from cgpo.bounds import check_fields
from cgpo.optimizer.base import ConstrainedOptimizer, Pair
from cgpo.optimizer.calibration import attached_zero, check_batch, log_ratio, sequence_logprob
from cgpo.tensors import first_argmax, first_argmin, take
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class CODPO(ConstrainedOptimizer):
    """CODPO (arXiv 2409.20370, section 4.1.2, eqs. 13–15): DPO on the best satisfied and the worst violated response.

        ℓ = log σ(β·ρ(s,a+) − β·ρ(s,a−)),   ℓ̃ = ℓ + λ/|a+| · log π_w(a+|s)     (eq. 14)

    and `−ℓ̃` is minimised, averaged over the prompts of the task's batch; a skipped prompt contributes 0.

    A variant that pairs responses differently overrides `choose`.

    Attributes:
        beta: β, the strength of the implicit KL penalty.
        positive_weight: λ, the weight of the length-normalised log-likelihood of `a+`.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    beta: Annotated[float, Gt(0)] = 0.1
    positive_weight: Annotated[float, Ge(0)] = 0.1
    min_responses = 2

    def __post_init__(self) -> None:
        check_fields(self)

    def choose(self, batch: TrainingBatch) -> Pair:
        """Chooses for each prompt `a+`, the best satisfied response, and `a−`, the worst violated one (eq. 13).

        If none is violated, `a−` is the worst of the satisfied responses that differ from `a+`.

        Args:
            batch: the task's whole batch.
        """
        satisfied = batch.satisfied & batch.decided
        violated = ~batch.satisfied & batch.decided
        better = first_argmax(batch.reward, satisfied)
        other = batch.identity != take(batch.identity, better).unsqueeze(-1)
        candidates = torch.where(violated.any(-1, keepdim=True), violated, satisfied) & other
        worse = first_argmin(batch.reward, candidates)
        return Pair(better, worse, satisfied.any(-1) & candidates.any(-1))

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the mean of `−ℓ̃` over the batch's prompts.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metrics `paired_prompts` (the share of prompts with a pair) and `pair_accuracy` (the share
            of pairs whose `a+` has the higher implicit reward).
        """
        check_batch(batch)
        pair = self.choose(batch)
        ratio, logprob = log_ratio(batch), sequence_logprob(batch)
        length = batch.response_mask.sum(-1).clamp(min=1)
        margin = self.beta * (take(ratio, pair.better) - take(ratio, pair.worse))
        likelihood = take(logprob, pair.better) / take(length, pair.better)
        terms = logsigmoid(margin) + self.positive_weight * likelihood
        loss = attached_zero(batch) - torch.where(pair.exists, terms, 0.0).sum() / pair.exists.numel()
        pairs = pair.exists.sum()
        accuracy = ((margin > 0) & pair.exists).sum() / pairs.clamp(min=1)
        metrics = {"paired_prompts": (pairs / pair.exists.numel()).item(), "pair_accuracy": accuracy.item()}
        return Objective(loss, metrics)
