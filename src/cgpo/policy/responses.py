"""The tokens that an objective depends on, with their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from cgpo.protocols import Policy
from cgpo.tensors import padded
from cgpo.types import Rollout


@dataclass(frozen=True)
class Responses:
    """Tokens whose log-probabilities an objective depends on: the rollout's, or the baseline responses'.

    Attributes:
        prompt_ids: `N` prompts, ragged.
        ids: `[N, T]`.
        mask: `[N, T]` bool.
    """

    prompt_ids: Sequence[Sequence[int]]
    ids: Tensor
    mask: Tensor

    @property
    def lengths(self) -> list[int]:
        """Tokens of each prompt with its response."""
        return [len(p) + n for p, n in zip(self.prompt_ids, self.mask.sum(-1).tolist(), strict=True)]

    def of(self, rows: Sequence[int]) -> tuple[list[Sequence[int]], Tensor, Tensor]:
        """Some rows' prompts, tokens and mask, without columns that are padding for all of them."""
        mask = self.mask[rows]
        width = int(mask.sum(-1).max())
        return [self.prompt_ids[i] for i in rows], self.ids[rows][:, :width], mask[:, :width]


def rollout_responses(rollout: Rollout) -> Responses:
    """The rollout's `N` responses, each with its prompt."""
    prompt_ids = [ids for ids in rollout.prompt_ids for _ in range(rollout.copies)]
    return Responses(prompt_ids, rollout.response_ids, rollout.response_mask)


def baseline_responses(policy: Policy, rollout: Rollout, baselines: Sequence[str]) -> Responses:
    """The prompts' baseline responses; one that leaves the context is cut."""
    rows = [
        policy.encode_response(text)[: policy.context_length - len(ids)]
        for text, ids in zip(baselines, rollout.prompt_ids, strict=True)
    ]
    return Responses(rollout.prompt_ids, *padded(rows, policy.pad_id, rollout.response_ids.device))
