"""Direct alignment from pairs: DPO and its two relatives, on pairs ranked by the reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from cgpo.errors import UserError
from cgpo.optimizer.bounds import require_positive
from cgpo.optimizer.calibration import attached_zero, check_batch, log_ratio
from cgpo.tensors import first_argmax, first_argmin, take
from cgpo.types import Objective, TrainingBatch

PREFERENCE_LOSSES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "dpo": lambda margin: softplus(-margin),
    "ipo": lambda margin: (margin - 0.5) ** 2,
    "slic": lambda margin: relu(1.0 - margin),
}
"""Losses of the margin `β·[ρ(a+) − ρ(a−)]`, in the common form of Rafailov et al. 2024 (arXiv 2406.02900, section 3):
logistic (DPO, arXiv 2305.18290, eq. 7), squared (IPO, arXiv 2310.12036, eq. 17 times β²) and hinge (SLiC, arXiv
2305.10425, on ratios to the reference)."""


@dataclass(frozen=True)
class _FromPairs:
    """The hyper-parameters of optimizers that learn from pairs."""

    beta: float = 0.1
    loss: str = "dpo"
    uses_baseline_logprobs = False
    min_responses = 2

    def __post_init__(self) -> None:
        require_positive(type(self).__name__, "beta", self.beta)
        if self.loss not in PREFERENCE_LOSSES:
            raise UserError(f"{type(self).__name__}.loss is {self.loss!r}: choose {', '.join(PREFERENCE_LOSSES)}")


class OnlineDPO(_FromPairs):
    """Online DPO (Guo et al. 2024, arXiv 2402.04792): the best and the worst of a prompt's responses, by reward.

    The mean of the loss over the batch's prompts; a prompt whose best and worst response are the same text contributes
    0. Verdicts take no part: an unconstrained baseline.

    Attributes:
        beta: β, the strength of the implicit KL penalty.
        loss: `dpo`, `ipo` or `slic`.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The mean loss over the batch's prompts.

        Args:
            batch: the task's whole batch, `K ≥ 2`.

        Returns:
            The scalar loss; metrics `paired_prompts` (share of prompts with two different responses) and
            `pair_accuracy` (share of pairs whose `a+` has the higher implicit reward).
        """
        check_batch(batch)
        positive = first_argmax(batch.reward, torch.ones_like(batch.satisfied))
        others = batch.identity != take(batch.identity, positive).unsqueeze(-1)
        negative = first_argmin(batch.reward, others)
        return preference_objective(batch, positive, negative, others.any(-1), self.beta, self.loss)


class DPO(_FromPairs):
    """DPO on preference data (Rafailov et al. 2023, arXiv 2305.18290, eq. 7), or IPO or SLiC.

    Of each prompt's two responses the first is preferred, as `cgpo.stages.preferences.OfflinePairs` draws them. The mean of
    the loss over the batch's prompts. Rewards and verdicts take no part: an unconstrained, offline baseline.

    Attributes:
        beta: β, the strength of the implicit KL penalty.
        loss: `dpo`, `ipo` or `slic`.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The mean loss over the batch's prompts.

        Args:
            batch: the task's whole batch, `K = 2`.

        Returns:
            The scalar loss; metrics as of `OnlineDPO`.

        Raises:
            ValueError: `K` is not 2.
        """
        check_batch(batch)
        if batch.reward.shape[-1] != 2:
            raise ValueError(f"DPO takes pairs, not {batch.reward.shape[-1]} responses to a prompt: see OfflinePairs")
        first = torch.zeros_like(batch.identity[:, 0])
        paired = batch.identity[:, 0] != batch.identity[:, 1]
        return preference_objective(batch, first, first + 1, paired, self.beta, self.loss)


def preference_objective(
    batch: TrainingBatch, positive: Tensor, negative: Tensor, paired: Tensor, beta: float, loss: str
) -> Objective:
    """The mean loss of the pairs' margins over all prompts.

    Args:
        batch: the task's whole batch.
        positive: `[B]` index of the preferred response.
        negative: `[B]` index of the other one.
        paired: `[B]` bool; a prompt without a pair contributes 0.
        beta: β.
        loss: a name of `PREFERENCE_LOSSES`.
    """
    ratio = log_ratio(batch)
    margin = beta * (take(ratio, positive) - take(ratio, negative))
    terms = torch.where(paired, PREFERENCE_LOSSES[loss](margin), 0.0)
    pairs = paired.sum()
    accuracy = ((margin > 0) & paired).sum() / pairs.clamp(min=1)
    metrics = {"paired_prompts": (pairs / paired.numel()).item(), "pair_accuracy": accuracy.item()}
    return Objective(attached_zero(batch) + terms.mean(), metrics)
