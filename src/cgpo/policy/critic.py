"""A value function on a transformer of its own (Schulman et al. 2017, arXiv 1707.06347)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from cgpo.models.adapters import merged_copy
from cgpo.policy.logprobs import concatenate
from cgpo.tensors import at_least_float32


class Critic(nn.Module):
    """The value of the state before each response token: a copy of the policy's transformer with a linear head.

    The head starts at 0, so that the first values are 0 everywhere.

    Args:
        model: the policy's causal language model; all of its weights are copied and trained, even if only adapters on
            them are trained in the policy.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.transformer: Any = merged_copy(model.base_model)
        weight = next(model.parameters())
        self.head = nn.Linear(model.config.hidden_size, 1, dtype=weight.dtype, device=weight.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def base_model(self) -> nn.Module:
        """The transformer, under the name that a causal language model has for it."""
        return self.transformer

    def forward(
        self, prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor, pad_id: int
    ) -> Tensor:
        """Computes the value of the state before each response token.

        Args:
            prompt_ids: `N` ragged prompts, none empty.
            response_ids: `[N, T]`.
            response_mask: `[N, T]` bool, True on a prefix of each row.
            pad_id: any token.

        Returns:
            `[N, T]`, 0 where masked; float32, or float64 for a float64 model.
        """
        rows = concatenate(prompt_ids, response_ids, response_mask, pad_id)
        dtype = at_least_float32(self.head.weight.dtype)
        if rows.last == 0:
            return torch.zeros_like(response_mask, dtype=dtype)
        states = self.transformer(input_ids=rows.tokens[:, :-1], use_cache=False).last_hidden_state
        return rows.align_to_responses(self.head(states[:, -rows.last :]).squeeze(-1).to(dtype))
