"""The engine `static`: rows are decoded in slots whose shape never changes; on CUDA each token replays a graph."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

from cgpo.errors import UserError
from cgpo.rollout.cuda_graphs import Slots, can_capture, get_graph
from cgpo.rollout.dynamic import DynamicRows
from cgpo.rollout.prefill import Prefill, prefill

CAPACITY_STEP = 256
"""Capacities are multiples of this many tokens, so that prompts of other lengths use the same slots again."""
CHECK_EVERY = 8
"""Tokens between two checks whether all responses have ended; each check makes the CPU wait for the device."""
TOLERANCE = 0.05
"""How much slots may change a row, relative to the difference between two rows, for rounding."""

_VERIFIED: WeakSet[nn.Module] = WeakSet()


class StaticRows:
    """The rows under way: `K` responses to each of `B` prompts, prompt-major; rows that have ended stay, unused.

    On CUDA the forward pass of a token is a graph that is replayed (see `cgpo.rollout.cuda_graphs`); elsewhere, and
    where `can_capture` says no, the same pass is run as it stands.

    Args:
        model: a `transformers` causal language model whose layers all have full attention.
        prompts: the prefilled prompts.
        copies: `K`.
        limit: the most tokens of a response.

    Attributes:
        rows: `[B * K]`, which response each row is: all, in order.
        running: `[B * K]` bool, whether a row's response goes on.
        logits: `[B * K, V]`, for each row's next token.

    Raises:
        UserError: the model has other layers, or answers differently in slots.
    """

    def __init__(self, model: nn.Module, prompts: Prefill, copies: int, limit: int) -> None:
        require_static(model)
        self._model = model
        self._steps = 0
        count = len(prompts.lengths) * copies
        capacity = -(-(prompts.width + limit) // CAPACITY_STEP) * CAPACITY_STEP
        self._graph = get_graph(model, prompts, count, capacity) if can_capture(model) else None
        self._slots = self._graph.slots if self._graph else Slots(model.config, prompts, count, capacity)
        self._slots.load(prompts, copies)
        self.rows: Tensor = torch.arange(count, device=prompts.lengths.device)
        self.running: Tensor = torch.ones_like(self.rows, dtype=torch.bool)
        self.logits: Tensor = prompts.logits.repeat_interleave(copies, dim=0)

    def all_ended(self) -> bool:
        """Tells whether every response has ended, noticing it a few tokens late."""
        self._steps += 1
        return self._steps % CHECK_EVERY == 0 and not bool(self.running.any())

    def advance(self, token: Tensor) -> None:
        """Reads one token a row, `[B * K]`; what a row reads after its end does not matter."""
        self._slots.token.copy_(token.clamp(min=0)[:, None])
        self.logits = self._graph.replay() if self._graph else self._slots.read(self._model)


@torch.no_grad()
def require_static(model: nn.Module) -> None:
    """Checks that a model decodes in slots as it does otherwise, by trying it once on two short rows.

    Raises:
        UserError: it does not, so that log-probabilities would silently be wrong.
    """
    if model in _VERIFIED:
        return
    config: Any = model.config
    name = type(model).__name__
    advice = "use engine=dynamic"
    if any(type(layer) is not StaticLayer for layer in StaticCache(config=config, max_cache_len=8).layers):
        raise UserError(f"rollout.engine=static: {name} has layers without full attention; {advice}")
    prompts = prefill(model, [[1, 2, 3, 4, 5], [6, 7]], pad_id=0)
    slots = Slots(config, prompts, count=2, capacity=8)
    slots.load(prompts, copies=1)
    token = torch.tensor([3, 3], device=prompts.lengths.device)
    slots.token.copy_(token[:, None])
    in_slots = slots.read(model)
    reference = DynamicRows(model, prompts, copies=1, compact_below=0.0)
    reference.advance(token)
    finite = reference.logits.isfinite().all(0)
    scale = (reference.logits[0] - reference.logits[1])[finite].abs().max()
    if not (in_slots - reference.logits)[:, finite].abs().max() <= TOLERANCE * scale:
        raise UserError(f"rollout.engine=static: {name} answers differently with a cache of fixed length; {advice}")
    _VERIFIED.add(model)
