"""Prompts read once each, before their responses are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from cgpo.protocols import Policy

LEAST_ROOM = 64
"""Columns that a buffer has beyond those in use; longer caches get half as many again."""


def roomy_cache(config: Any) -> DynamicCache:
    """An empty cache for a model; layers of other kinds than full attention stay as `transformers` makes them."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class RoomyLayer(DynamicLayer):
    """A `DynamicLayer` whose keys and values, `[N, H, L, D]`, are the beginnings of longer buffers."""

    _layer_type = None
    _keys_room: Tensor | None = None
    _values_room: Tensor | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends columns; all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
        else:
            assert self.keys is not None
            assert self.values is not None
            self.keys, self._keys_room = _appended(self.keys, self._keys_room, key_states)
            self.values, self._values_room = _appended(self.values, self._values_room, value_states)
        return self.keys, self.values


def _appended(kept: Tensor, room: Tensor | None, new: Tensor) -> tuple[Tensor, Tensor]:
    """What is kept with new columns behind it, and the buffer that it is the beginning of."""
    length, end = kept.shape[-2], kept.shape[-2] + new.shape[-2]
    # Rows that were selected or repeated since the last token lie elsewhere in memory: the buffer is not theirs.
    if room is None or room.data_ptr() != kept.data_ptr() or room.shape[-2] < end:
        room = new.new_empty(*new.shape[:-2], end + max(LEAST_ROOM, end // 2), new.shape[-1])
        room[..., :length, :] = kept
    room[..., length:end, :] = new
    return room[..., :end, :], room


@dataclass(frozen=True)
class Reading:
    """What a model holds of `B` prompts, padded on the left to `P` tokens.

    Attributes:
        cache: keys and values, `[B, H, P, D]` a layer.
        logits: `[B, V]` of the first token of a response.
        mask: `[B, P]`, 1 where a prompt's token is; `None` where all prompts are equally long.
        lengths: `[B]` tokens of each prompt.
    """

    cache: DynamicCache
    logits: Tensor
    mask: Tensor | None
    lengths: Tensor

    @property
    def width(self) -> int:
        """`P`."""
        return self.cache.get_seq_length()


def read_prompts(policy: Policy, prompt_ids: Sequence[Sequence[int]]) -> Reading:
    """Reads each prompt once; `B` prompts, ragged, none empty."""
    return read_tokens(policy.model, prompt_ids, policy.pad_id)


def read_tokens(model: nn.Module, prompt_ids: Sequence[Sequence[int]], pad_id: int) -> Reading:
    """Reads rows of tokens, padded on the left where lengths differ."""
    device = next(model.parameters()).device
    lengths = torch.tensor([len(ids) for ids in prompt_ids], device=device)
    width = max(map(len, prompt_ids))
    tokens = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in prompt_ids], device=device)
    config: Any = model.config
    cache = roomy_cache(config)
    extra: dict[str, Any] = {}
    if min(map(len, prompt_ids)) != width:
        mask = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
        extra = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    output: Any = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra)
    return Reading(cache, output.logits[:, -1], extra.get("attention_mask"), lengths)
