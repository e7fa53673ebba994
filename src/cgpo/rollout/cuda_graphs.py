"""Slots with a static cache, and the CUDA graphs of decoding one token in them, kept from rollout to rollout."""

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

from cgpo.errors import first_line
from cgpo.rollout.prefill import Prefill


class Slots:
    """`N` rows with a capacity of `L` tokens each: a static cache, and the inputs of a pass that reads one token.

    A pass writes in place: the token's keys and values, which columns a row sees, and the next token's position. The
    same kernels at the same addresses therefore decode every token, which is what a CUDA graph requires.

    Args:
        config: the configuration of the model, all of whose layers have full attention.
        prompts: prompts such as will be decoded; their number, lengths and texts do not matter.
        count: `N`.
        capacity: `L`.

    Attributes:
        token: `[N, 1]`, to be read next.
    """

    def __init__(self, config: Any, prompts: Prefill, count: int, capacity: int) -> None:
        self._cache = StaticCache(config=config, max_cache_len=capacity)
        for layer, filled in self._layers(prompts):
            keys, values = (states[:1, :, :1].expand(count, -1, -1, -1) for states in (filled.keys, filled.values))
            layer.lazy_initialization(keys, values)
        device = prompts.logits.device
        # Eager attention adds the mask to the scores, so that 0 means visible; it cannot read booleans.
        additive = config._attn_implementation == "eager"
        self._visible, self._hidden = (0.0, torch.finfo(prompts.logits.dtype).min) if additive else (True, False)
        mask_type = prompts.logits.dtype if additive else torch.bool
        self._mask = torch.full((count, 1, 1, capacity), self._hidden, dtype=mask_type, device=device)
        self._column = torch.zeros(1, dtype=torch.long, device=device)
        self._position = torch.zeros(count, 1, dtype=torch.long, device=device)
        self.token = torch.zeros(count, 1, dtype=torch.long, device=device)

    def load(self, prompts: Prefill, copies: int) -> None:
        """Fills the slots with `K` copies of each of `B` prompts, where `B * K` is `N`, overwriting everything."""
        width = prompts.width
        for layer, filled in self._layers(prompts):
            for slots, states in ((layer.keys, filled.keys), (layer.values, filled.values)):
                # A number that is not finite would spoil the sum over columns even in a column that is hidden.
                slots[:, :, width:] = 0
                slots[:, :, :width].unflatten(0, (-1, copies)).copy_(states[:, None])
            layer.cumulative_length.fill_(width)
        self._mask.fill_(self._hidden)
        if prompts.mask is None:
            self._mask[..., :width] = self._visible
        else:
            seen = prompts.mask.bool().repeat_interleave(copies, dim=0)[:, None, None]
            self._mask[..., :width].masked_fill_(seen, self._visible)
        self._column.fill_(width)
        self._position.copy_(prompts.lengths.repeat_interleave(copies)[:, None])

    def read(self, model: nn.Module) -> Tensor:
        """Reads `token` and returns the `[N, V]` logits of the next one."""
        self._mask.index_fill_(-1, self._column, self._visible)
        output: Any = model(
            input_ids=self.token,
            attention_mask=self._mask,
            position_ids=self._position,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._column.add_(1)
        self._position.add_(1)
        return output.logits[:, -1]

    def _layers(self, prompts: Prefill) -> Iterator[tuple[Any, Any]]:
        """Pairs the slots' layers with those of a prefilled cache."""
        return zip(self._cache.layers, prompts.cache.layers, strict=True)


MAX_SHAPES = 4
"""The most shapes whose slots are kept for one model: each has its own cache and its own graph's memory."""

Shape = tuple[int, int, torch.dtype]
"""The number of rows, their capacity in tokens, and the dtype of the logits."""


@dataclass(frozen=True)
class CapturedGraph:
    """Slots, and the graph of reading one token in them.

    Attributes:
        slots: what the graph reads and writes.
        graph: the graph of one `Slots.read`.
        logits: `[N, V]`, where a replay leaves the next token's logits.
    """

    slots: Slots
    graph: torch.cuda.CUDAGraph
    logits: Tensor

    def replay(self) -> Tensor:
        """Reads the slots' token and returns the logits, which the next replay overwrites."""
        self.graph.replay()
        return self.logits


@dataclass
class _ModelGraphs:
    """One model's graphs by shape, the most recently used last; `None` where the capture failed."""

    addresses: tuple[int, ...]
    by_shape: dict[Shape, CapturedGraph | None]


_GRAPHS: WeakKeyDictionary[nn.Module, _ModelGraphs] = WeakKeyDictionary()


def can_capture(model: nn.Module) -> bool:
    """Tells whether a graph of a model's pass stays valid from rollout to rollout.

    The weights must stay where they are: those of a sharded model are gathered anew each time, and under autocast a
    pass may read low-precision copies that are discarded when autocast ends.
    """
    on_cuda = next(model.parameters()).device.type == "cuda"
    return (
        on_cuda
        and not torch.is_autocast_enabled("cuda")
        and not any(isinstance(m, FSDPModule) for m in model.modules())
    )


def get_graph(model: nn.Module, prompts: Prefill, count: int, capacity: int) -> CapturedGraph | None:
    """Returns the graph of a model's pass over `N` rows with `L` tokens each, captured now or earlier.

    A graph reads the weights where they were when it was captured. An optimizer changes them in place, which the next
    replay sees; if any weight has moved, all graphs of the model are captured anew. If CUDA refuses a capture there is
    a warning, and rows of this shape are decoded without a graph from then on.

    Args:
        model: a model on CUDA for which `can_capture` holds.
        prompts: prompts such as will be decoded.
        count: `N`.
        capacity: `L`.

    Returns:
        The graph, or `None` if the capture failed.
    """
    addresses = tuple(tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers()))
    graphs = _GRAPHS.get(model)
    if graphs is None or graphs.addresses != addresses:
        graphs = _GRAPHS[model] = _ModelGraphs(addresses, {})
    shape = (count, capacity, prompts.logits.dtype)
    if shape in graphs.by_shape:
        graphs.by_shape[shape] = graphs.by_shape.pop(shape)
    else:
        if len(graphs.by_shape) >= MAX_SHAPES:
            del graphs.by_shape[next(iter(graphs.by_shape))]
        graphs.by_shape[shape] = _capture(model, Slots(model.config, prompts, count, capacity))
    return graphs.by_shape[shape]


def _capture(model: nn.Module, slots: Slots) -> CapturedGraph | None:
    try:
        # What a first pass sets up (cuBLAS handles, chosen kernels) must not be part of the graph. These passes write
        # into the slots, all of which are overwritten when prompts are loaded.
        warmup = torch.cuda.Stream()
        warmup.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warmup):
            for _ in range(3):
                slots.read(model)
        torch.cuda.current_stream().wait_stream(warmup)
        graph = torch.cuda.CUDAGraph()
        # Judges may be at work on the same device in other threads, which is neither part of the graph nor an error.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            logits = slots.read(model)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = first_line(error)
        warnings.warn(f"rollout.engine=static: no CUDA graph, decoding goes on without: {reason}", stacklevel=2)
        return None
    return CapturedGraph(slots, graph, logits)
