"""Rows that are decoded in slots of one shape from the first token to the last; on CUDA by replaying a graph."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

from cgpo.errors import UserError
from cgpo.rollout.cache import Reading, read_tokens
from cgpo.rollout.cuda_graphs import Slots, captured, may_capture
from cgpo.rollout.dynamic import DynamicRows

ROOM_STEP = 256
"""Room is a multiple of this many tokens, so that prompts of other lengths find the same slots again."""
LOOK_EVERY = 8
"""Tokens after which it is looked whether all responses have ended: to look, the processor waits for the device."""
TOLERANCE = 0.05
"""Of the difference between two rows: by how much slots may change a row, as rounding does."""

_TRIED: WeakSet[nn.Module] = WeakSet()


class StaticRows:
    """The rows that are being decoded: `K` of each of `B` prompts, prompt-major; ended rows stay, unused.

    On CUDA the forward pass of a token is a graph that is replayed (see `cgpo.rollout.cuda_graphs`, also for what is not
    known of it); elsewhere, and where `may_capture` says no, the same pass is run as it stands.

    Args:
        model: a `transformers` causal language model whose layers all have full attention.
        reading: the prompts.
        copies: `K`.
        limit: most tokens of a response.

    Attributes:
        rows: `[B * K]` which response each row is: all, in order.
        running: `[B * K]` bool, whether a row's response goes on.
        logits: `[B * K, V]` of each row's next token.

    Raises:
        UserError: the model has other layers, or answers differently in slots.
    """

    def __init__(self, model: nn.Module, reading: Reading, copies: int, limit: int) -> None:
        require_static(model)
        self._model = model
        self._steps = 0
        count = len(reading.lengths) * copies
        room = -(-(reading.width + limit) // ROOM_STEP) * ROOM_STEP
        self._captured = captured(model, reading, count, room) if may_capture(model) else None
        config: Any = model.config
        self._slots = self._captured.slots if self._captured else Slots(config, reading, count, room)
        self._slots.load(reading, copies)
        self.rows = torch.arange(count, device=reading.lengths.device)
        self.running = torch.ones_like(self.rows, dtype=torch.bool)
        self.logits = reading.logits.repeat_interleave(copies, dim=0)

    def all_ended(self) -> bool:
        """Whether no response goes on; noticed a few tokens late."""
        self._steps += 1
        return self._steps % LOOK_EVERY == 0 and not bool(self.running.any())

    def advance(self, token: Tensor) -> None:
        """Reads a token a row, `[B * K]`; what an ended row reads does not matter."""
        self._slots.token.copy_(token.clamp(min=0)[:, None])
        self.logits = self._captured.read() if self._captured else self._slots.read(self._model)


@torch.no_grad()
def require_static(model: nn.Module) -> None:
    """Asserts that a model decodes in slots as it does otherwise, by trying it once on two short rows.

    Raises:
        UserError: it does not, so that log-probabilities would be silently wrong.
    """
    if model in _TRIED:
        return
    config: Any = model.config
    name = type(model).__name__
    advice = "use engine=dynamic"
    if any(type(layer) is not StaticLayer for layer in StaticCache(config=config, max_cache_len=8).layers):
        raise UserError(f"rollout.engine=static: {name} has layers without full attention; {advice}")
    reading = read_tokens(model, [[1, 2, 3, 4, 5], [6, 7]], pad_id=0)
    slots = Slots(config, reading, count=2, room=8)
    slots.load(reading, copies=1)
    token = torch.tensor([3, 3], device=reading.lengths.device)
    slots.token.copy_(token[:, None])
    found = slots.read(model)
    plain = DynamicRows(model, reading, copies=1, compact_below=0.0)
    plain.advance(token)
    known = plain.logits.isfinite().all(0)
    scale = (plain.logits[0] - plain.logits[1])[known].abs().max()
    if not (found - plain.logits)[:, known].abs().max() <= TOLERANCE * scale:
        raise UserError(f"rollout.engine=static: {name} answers differently with a cache of fixed length; {advice}")
    _TRIED.add(model)
