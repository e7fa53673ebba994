"""Reward-ranked fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cgpo.optimizer.calibration import check_batch, sequence_logprob
from cgpo.tensors import first_argmax, take
from cgpo.types import Objective, TrainingBatch


@dataclass(frozen=True)
class RAFT:
    """RAFT (Dong et al. 2023, arXiv 2304.06767): fine-tuning on each prompt's response of highest reward.

    The loss is the mean of `−log π_w(a*|s)` over the batch's prompts. Verdicts take no part: an unconstrained baseline.
    """

    uses_baseline_logprobs = False
    min_responses = 1

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The mean negative log-likelihood of the best responses.

        Args:
            batch: the task's whole batch.

        Returns:
            The scalar loss; metric `best_reward`, the mean reward of the chosen responses.
        """
        check_batch(batch)
        best = first_argmax(batch.reward, torch.ones_like(batch.satisfied))
        loss = -take(sequence_logprob(batch), best).mean()
        return Objective(loss, {"best_reward": take(batch.reward, best).mean().item()})
