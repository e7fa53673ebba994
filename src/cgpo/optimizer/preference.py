"""Direct alignment from pairs: DPO and its two relatives, on pairs ranked by the reward."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import relu, softplus

from cgpo.bounds import check_fields
from cgpo.optimizer.base import ConstrainedOptimizer, Pair
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
class _FromPairs(ConstrainedOptimizer):
    """The hyper-parameters of optimizers that learn from pairs."""

    beta: Annotated[float, Gt(0)] = 0.1
    loss: Literal["dpo", "ipo", "slic"] = "dpo"
    min_responses = 2

    def __post_init__(self) -> None:
        check_fields(self)

    @abstractmethod
    def choose(self, batch: TrainingBatch) -> Pair:
        """Chooses for each prompt the preferred response and the other one.

        Args:
            batch: the task's whole batch.
        """

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the mean loss over the batch's prompts.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metrics `paired_prompts` (the share of prompts with two different responses) and
            `pair_accuracy` (the share of pairs whose `a+` has the higher implicit reward).
        """
        check_batch(batch)
        return preference_objective(batch, self.choose(batch), self.beta, self.loss)


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

    def choose(self, batch: TrainingBatch) -> Pair:
        """Chooses for each prompt the best response, and the worst one of those that differ from it."""
        better = first_argmax(batch.reward, torch.ones_like(batch.satisfied))
        others = batch.identity != take(batch.identity, better).unsqueeze(-1)
        return Pair(better, first_argmin(batch.reward, others), others.any(-1))


class DPO(_FromPairs):
    """DPO on preference data (Rafailov et al. 2023, arXiv 2305.18290, eq. 7), or IPO or SLiC.

    Of each prompt's two responses the first is preferred, as `cgpo.stages.preferences.OfflinePairs` draws them. The
    loss is the mean over the batch's prompts. Rewards and verdicts take no part: an unconstrained, offline baseline.

    Attributes:
        beta: β, the strength of the implicit KL penalty.
        loss: `dpo`, `ipo` or `slic`.

    Raises:
        UserError: a hyper-parameter is out of its range.
    """

    def choose(self, batch: TrainingBatch) -> Pair:
        """Prefers the first response of each prompt to the second.

        Raises:
            ValueError: a prompt has not two responses.
        """
        if batch.reward.shape[-1] != 2:
            raise ValueError(f"DPO takes pairs, not {batch.reward.shape[-1]} responses to a prompt: see OfflinePairs")
        first = torch.zeros_like(batch.identity[:, 0])
        return Pair(first, first + 1, batch.identity[:, 0] != batch.identity[:, 1])


def preference_objective(batch: TrainingBatch, pair: Pair, beta: float, loss: str) -> Objective:
    """Computes the mean loss of the pairs' margins over all prompts.

    Args:
        batch: the task's whole batch.
        pair: each prompt's preferred response and the other one; a prompt without a pair contributes 0.
        beta: β.
        loss: a name of `PREFERENCE_LOSSES`.
    """
    ratio = log_ratio(batch)
    margin = beta * (take(ratio, pair.better) - take(ratio, pair.worse))
    terms = torch.where(pair.exists, PREFERENCE_LOSSES[loss](margin), 0.0)
    pairs = pair.exists.sum()
    accuracy = ((margin > 0) & pair.exists).sum() / pairs.clamp(min=1)
    metrics = {"paired_prompts": (pairs / pair.exists.numel()).item(), "pair_accuracy": accuracy.item()}
    return Objective(attached_zero(batch) + terms.mean(), metrics)
