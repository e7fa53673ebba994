"""Prefill: each prompt is read once, into a key-value cache with room to grow, before its responses are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from cgpo.tensors import pad_rows

SPARE_COLUMNS = 64
"""The least number of columns that a buffer has beyond those in use; longer caches get half as many again."""


def growing_cache(config: Any) -> DynamicCache:
    """Makes an empty cache for a model; layers without full attention stay as `transformers` makes them."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class GrowingLayer(DynamicLayer):
    """A `DynamicLayer` that rarely copies: its keys and values, `[N, H, L, D]`, are the start of longer buffers."""

    _layer_type = None
    _keys_buffer: Tensor | None = None
    _values_buffer: Tensor | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends columns and returns all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
        else:
            assert self.keys is not None
            assert self.values is not None
            self.keys, self._keys_buffer = _append(self.keys, self._keys_buffer, key_states)
            self.values, self._values_buffer = _append(self.values, self._values_buffer, value_states)
        return self.keys, self.values


def _append(old: Tensor, buffer: Tensor | None, new: Tensor) -> tuple[Tensor, Tensor]:
    """Appends new columns to old ones; returns all of them, and the buffer that they are the start of."""
    length, end = old.shape[-2], old.shape[-2] + new.shape[-2]
    # Rows that were selected or repeated since the last token have moved in memory: the buffer is not theirs.
    if buffer is None or buffer.data_ptr() != old.data_ptr() or buffer.shape[-2] < end:
        buffer = new.new_empty(*new.shape[:-2], end + max(SPARE_COLUMNS, end // 2), new.shape[-1])
        buffer[..., :length, :] = old
    buffer[..., length:end, :] = new
    return buffer[..., :end, :], buffer


@dataclass(frozen=True)
class Prefill:
    """A model's state after it has read `B` prompts, padded on the left to `P` tokens.

    Attributes:
        cache: keys and values, `[B, H, P, D]` a layer.
        logits: `[B, V]`, for the first token of each response.
        mask: `[B, P]`, 1 where a prompt has a token; `None` if all prompts are equally long.
        lengths: `[B]`, the number of tokens of each prompt.
    """

    cache: DynamicCache
    logits: Tensor
    mask: Tensor | None
    lengths: Tensor

    @property
    def width(self) -> int:
        """`P`, the number of columns in the cache."""
        return self.cache.get_seq_length()


def prefill(model: nn.Module, prompt_ids: Sequence[Sequence[int]], pad_id: int) -> Prefill:
    """Reads each prompt once.

    Args:
        model: a `transformers` causal language model.
        prompt_ids: `B` ragged prompts, none empty.
        pad_id: any token.
    """
    device = next(model.parameters()).device
    tokens, mask = pad_rows(prompt_ids, pad_id, device, left=True)
    lengths = mask.sum(-1)
    cache = growing_cache(model.config)
    extra: dict[str, Tensor] = {}
    if min(map(len, prompt_ids)) < tokens.shape[1]:
        mask = mask.long()
        extra = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    output: Any = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra)
    return Prefill(cache, output.logits[:, -1], extra.get("attention_mask"), lengths)
