"""Rows that are decoded on a cache that grows, and leave the batch when their response has ended."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cgpo.rollout.cache import Reading


class DynamicRows:
    """The rows that are being decoded: `K` of each of `B` prompts, prompt-major, and fewer as responses end.

    Args:
        model: a `transformers` causal language model.
        reading: the prompts; its cache is taken over.
        copies: `K`.
        compact_below: ended rows are dropped once the share of running rows falls below this.

    Attributes:
        rows: `[n]` which of the `B * K` responses each row is.
        running: `[n]` bool, whether a row's response goes on.
        logits: `[n, V]` of each row's next token.
    """

    def __init__(self, model: nn.Module, reading: Reading, copies: int, compact_below: float) -> None:
        self._model: Any = model
        self._compact_below = compact_below
        self._cache = reading.cache
        self._cache.batch_repeat_interleave(copies)
        self._mask = None if reading.mask is None else reading.mask.repeat_interleave(copies, dim=0)
        self._position = reading.lengths.repeat_interleave(copies)
        self._count = len(self._position)
        self.rows = torch.arange(self._count, device=self._position.device)
        self.running = torch.ones_like(self.rows, dtype=torch.bool)
        self.logits = reading.logits.repeat_interleave(copies, dim=0)

    def all_ended(self) -> bool:
        """Whether no response goes on."""
        self._count = int(self.running.sum())
        return self._count == 0

    def advance(self, token: Tensor) -> None:
        """Reads a token a row, `[n]`, after dropping the rows that have ended where it is time to."""
        if self._count < self._compact_below * len(self.rows):
            token = self._keep_running(token)
        extra: dict[str, Any] = {}
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(token), 1)], dim=1)
            extra = {"attention_mask": self._mask, "position_ids": self._position[:, None]}
        output = self._model(input_ids=token[:, None], past_key_values=self._cache, use_cache=True, **extra)
        self.logits = output.logits[:, -1]
        self._position = self._position + 1

    def _keep_running(self, token: Tensor) -> Tensor:
        """Drops the rows that have ended; the running rows' tokens."""
        kept = self.running.nonzero().squeeze(-1)
        self._cache.batch_select_indices(kept)
        self.rows, self.running, self._position = self.rows[kept], self.running[kept], self._position[kept]
        self._mask = None if self._mask is None else self._mask[kept]
        return token[kept]
