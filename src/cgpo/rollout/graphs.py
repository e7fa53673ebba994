"""Slots whose forward pass was captured as a CUDA graph, kept from rollout to rollout. Not measured: see `captured`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from cgpo.rollout.reading import Reading
from cgpo.rollout.slots import Slots

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
