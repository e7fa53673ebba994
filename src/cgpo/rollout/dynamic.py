"""The engine `dynamic`: rows are decoded on a cache that grows, and leave the batch when their response has ended."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cgpo.rollout.prefill import Prefill


class DynamicRows:
    """The rows under way: `K` responses to each of `B` prompts, prompt-major, and fewer as responses end.

    Args:
        model: a `transformers` causal language model.
        prompts: the prefilled prompts, whose cache is taken over.
        copies: `K`.
        compact_below: rows that have ended are dropped once the share of running rows falls below this.

    Attributes:
        rows: `[n]`, which of the `B * K` responses each row is.
        running: `[n]` bool, whether a row's response goes on.
        logits: `[n, V]`, for each row's next token.
    """

    def __init__(self, model: nn.Module, prompts: Prefill, copies: int, compact_below: float) -> None:
        self._model = model
        self._compact_below = compact_below
        self._cache: Any = prompts.cache
        self._cache.batch_repeat_interleave(copies)
        self._mask = None if prompts.mask is None else prompts.mask.repeat_interleave(copies, dim=0)
        self._position: Tensor = prompts.lengths.repeat_interleave(copies)
        self._count = len(self._position)
        self.rows: Tensor = torch.arange(self._count, device=self._position.device)
        self.running: Tensor = torch.ones_like(self.rows, dtype=torch.bool)
        self.logits: Tensor = prompts.logits.repeat_interleave(copies, dim=0)

    def all_ended(self) -> bool:
        """Tells whether every response has ended."""
        self._count = int(self.running.sum())
        return self._count == 0

    def advance(self, token: Tensor) -> None:
        """Reads one token a row, `[n]`, after dropping rows that have ended if that is due."""
        if self._count < self._compact_below * len(self.rows):
            token = self._drop_ended(token)
        extra: dict[str, Tensor] = {}
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(token), 1)], dim=1)
            extra = {"attention_mask": self._mask, "position_ids": self._position[:, None]}
        output: Any = self._model(input_ids=token[:, None], past_key_values=self._cache, use_cache=True, **extra)
        self.logits = output.logits[:, -1]
        self._position = self._position + 1

    def _drop_ended(self, token: Tensor) -> Tensor:
        """Drops the rows that have ended and returns the running rows' tokens."""
        kept = self.running.nonzero().squeeze(-1)
        self._cache.batch_select_indices(kept)
        self.rows, self.running, self._position = self.rows[kept], self.running[kept], self._position[kept]
        self._mask = None if self._mask is None else self._mask[kept]
        return token[kept]
