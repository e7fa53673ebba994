"""Memory of one shape in which rows are decoded: nothing in it moves or grows from token to token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import StaticCache

from cgpo.rollout.reading import Reading


class Slots:
    """`N` rows with room for `L` tokens each: a static cache, and the inputs of a forward pass that reads one token.

    A pass writes in place: the token's keys and values, which columns a row sees, and the place of the next token. So
    the same kernels at the same addresses decode any token, which is what a CUDA graph needs.

    Args:
        config: of the model, all of whose layers have full attention.
        reading: prompts such as will be decoded; their number, width and texts do not matter.
        count: `N`.
        room: `L`.

    Attributes:
        token: `[N, 1]` to be read next.
    """

    def __init__(self, config: Any, reading: Reading, count: int, room: int) -> None:
        self._cache = StaticCache(config=config, max_cache_len=room)
        for layer, read in self._layers(reading):
            keys, values = (states[:1, :, :1].expand(count, -1, -1, -1) for states in (read.keys, read.values))
            layer.lazy_initialization(keys, values)
        device = reading.logits.device
        # What is added to a column's score: 0 where it is seen. Plain attention cannot read truth values.
        added = config._attn_implementation == "eager"
        self._shown, self._hidden = (0.0, torch.finfo(reading.logits.dtype).min) if added else (True, False)
        mask_type = reading.logits.dtype if added else torch.bool
        self._mask = torch.full((count, 1, 1, room), self._hidden, dtype=mask_type, device=device)
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._position = torch.zeros(count, 1, dtype=torch.long, device=device)
        self.token = torch.zeros(count, 1, dtype=torch.long, device=device)

    def load(self, reading: Reading, copies: int) -> None:
        """Puts `K` copies of each of `B` prompts in, where `B * K` is `N`; what was there is gone."""
        width = reading.width
        for layer, read in self._layers(reading):
            for slots, states in ((layer.keys, read.keys), (layer.values, read.values)):
                # A number that is not finite in a column that nobody sees would still spoil the sum over columns.
                slots[:, :, width:] = 0
                slots[:, :, :width].unflatten(0, (-1, copies)).copy_(states[:, None])
            layer.cumulative_length.fill_(width)
        self._mask.fill_(self._hidden)
        if reading.mask is None:
            self._mask[..., :width] = self._shown
        else:
            seen = reading.mask.bool().repeat_interleave(copies, dim=0)[:, None, None]
            self._mask[..., :width].masked_fill_(seen, self._shown)
        self._place.fill_(width)
        self._position.copy_(reading.lengths.repeat_interleave(copies)[:, None])

    def read(self, model: nn.Module) -> Tensor:
        """Reads `token`; logits `[N, V]` of the next one."""
        self._mask.index_fill_(-1, self._place, self._shown)
        output: Any = model(
            input_ids=self.token,
            attention_mask=self._mask,
            position_ids=self._position,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._place.add_(1)
        self._position.add_(1)
        return output.logits[:, -1]

    def _layers(self, reading: Reading) -> Iterator[tuple[Any, Any]]:
        """The cache's layers, each with what it takes from a reading."""
        return zip(self._cache.layers, reading.cache.layers, strict=True)
