"""Reward-ranked fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cgpo.optimizer.base import Choice, ConstrainedOptimizer
from cgpo.optimizer.calibration import check_batch, sequence_logprob
from cgpo.tensors import first_argmax, take
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class RAFT(ConstrainedOptimizer):
    """RAFT (Dong et al. 2023, arXiv 2304.06767): fine-tuning on each prompt's response of highest reward.

    The loss is the mean of `−log π_w(a*|s)` over the batch's prompts. Verdicts take no part: an unconstrained baseline.

    A variant that trains on other responses overrides `choose`.
    """

    def choose(self, batch: TrainingBatch) -> Choice:
        """Chooses for each prompt `a*`, the response of the highest reward.

        Args:
            batch: the task's whole batch.
        """
        every = torch.ones_like(batch.satisfied)
        return Choice(first_argmax(batch.reward, every), every.any(-1))

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the mean negative log-likelihood of the chosen responses.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metric `best_reward`, the mean reward of the chosen responses.
        """
        check_batch(batch)
        choice = self.choose(batch)
        terms = take(sequence_logprob(batch), choice.response)
        rewards = take(batch.reward, choice.response)[choice.exists]
        loss = -torch.where(choice.exists, terms, 0.0).mean()
        return Objective(loss, {"best_reward": rewards.mean().item() if len(rewards) else 0.0})
