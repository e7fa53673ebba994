"""A key-value cache with room to grow: a token read adds a column instead of copying all columns before it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

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
