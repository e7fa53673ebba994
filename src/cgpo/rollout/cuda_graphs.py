"""Slots whose forward pass was captured as a CUDA graph, kept from rollout to rollout. Not measured: see `captured`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from transformers import StaticCache

from cgpo.rollout.cache import Reading


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


MOST_SHAPES = 4
"""Shapes whose slots a model keeps at most: each holds its own cache and its own graph's memory."""

Shape = tuple[int, int, torch.dtype]


@dataclass(frozen=True)
class Captured:
    """Slots, and the graph of reading a token in them.

    Attributes:
        slots: what the graph reads and writes.
        graph: of one `Slots.read`.
        logits: `[N, V]` where a replay leaves the next token's logits.
    """

    slots: Slots
    graph: torch.cuda.CUDAGraph
    logits: Tensor

    def read(self) -> Tensor:
        """Reads the slots' token; the logits are overwritten by the next one's."""
        self.graph.replay()
        return self.logits


@dataclass
class _Kept:
    """A model's graphs by shape, the last used at the end; `None` where the capture failed."""

    addresses: tuple[int, ...]
    by_shape: dict[Shape, Captured | None]


_KEPT: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def may_capture(model: nn.Module) -> bool:
    """Whether a graph of a model's pass stays right from rollout to rollout.

    It needs weights that stay where they are: those of a sharded model are gathered anew each time, and under autocast
    a pass may read low-precision copies that are thrown away when autocast ends.
    """
    on_cuda = next(model.parameters()).device.type == "cuda"
    return (
        on_cuda
        and not torch.is_autocast_enabled("cuda")
        and not any(isinstance(m, FSDPModule) for m in model.modules())
    )


def captured(model: nn.Module, reading: Reading, count: int, room: int) -> Captured | None:
    """The graph of a model's pass over `count` rows with `room` tokens each: a kept one, or a new one.

    A graph reads the weights where they were when it was captured: steps of an optimizer, which change them in place,
    are seen by the next replay. Where any weight has moved all graphs of the model are made anew.

    This was written without a GPU at hand: it has neither been run nor measured on one. Where CUDA refuses the
    capture there is a warning, and rows of this shape are decoded without a graph from then on.

    Args:
        model: on CUDA, for which `may_capture` holds.
        reading: of prompts such as will be decoded.
        count: `N`.
        room: `L`.

    Returns:
        `None` where the capture failed.
    """
    addresses = tuple(tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers()))
    kept = _KEPT.get(model)
    if kept is None or kept.addresses != addresses:
        kept = _KEPT[model] = _Kept(addresses, {})
    shape = (count, room, reading.logits.dtype)
    if shape in kept.by_shape:
        kept.by_shape[shape] = kept.by_shape.pop(shape)
    else:
        if len(kept.by_shape) >= MOST_SHAPES:
            del kept.by_shape[next(iter(kept.by_shape))]
        kept.by_shape[shape] = _capture(model, Slots(model.config, reading, count, room))
    return kept.by_shape[shape]


def _capture(model: nn.Module, slots: Slots) -> Captured | None:
    try:
        # What a first pass sets up (cuBLAS handles, chosen kernels) must not be part of the graph. The passes write
        # into the slots; loading prompts overwrites all of it.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                slots.read(model)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Judges may be at work on the same device in other threads: what they do is no part of it, and no error.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            logits = slots.read(model)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        warnings.warn(f"rollout.engine=static: no CUDA graph, decoding goes on without: {reason}", stacklevel=2)
        return None
    return Captured(slots, graph, logits)
