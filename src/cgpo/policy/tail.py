"""What a model does to the head's output before it calls that logits, recognised by what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Tail = Callable[[Tensor], Tensor]
"""From the head's output to logits, element by element."""

SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Settings of a bound on logits: `cap · tanh(logit / cap)`, as in Gemma 2."""

SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
"""Settings that multiply logits, as in Cohere's models, or divide them, as in Granite."""


def tail_of(model: nn.Module, raw: Tensor, logits: Tensor) -> Tail | None:
    """Finds what happened between the head's output and the logits.

    What the configuration suggests is accepted where it gives the logits that the model gave, to the last bit.

    Args:
        model: with a `transformers` configuration.
        raw: `[…, V]`, the head's output.
        logits: `[…, V]`, what the model made of it.

    Returns:
        The function; `None` where none of the known ones gives these logits.
    """
    if raw.shape != logits.shape:
        return None
    for tail in _suggested(getattr(model, "config", None)):
        if _same(tail(raw), logits):
            return tail
    # The same object needs no comparison, for which a GPU would have to be waited for.
    return unchanged if logits is raw or _same(raw, logits) else None


def unchanged(raw: Tensor) -> Tensor:
    """The head's output as it is: most models."""
    return raw


def _suggested(config: Any) -> Iterator[Tail]:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in SOFT_CAPS:
        if number := getattr(text, name, None):
            yield partial(_capped, cap=number)
    for name in SCALES:
        if number := getattr(text, name, None):
            yield partial(_multiplied, factor=number)
            yield partial(_divided, divisor=number)


def _same(found: Tensor, logits: Tensor) -> bool:
    return torch.allclose(found.to(logits.dtype), logits, rtol=0.0, atol=0.0, equal_nan=True)


def _capped(raw: Tensor, cap: float) -> Tensor:
    return torch.tanh(raw / cap) * cap


def _multiplied(raw: Tensor, factor: float) -> Tensor:
    return raw * factor


def _divided(raw: Tensor, divisor: float) -> Tensor:
    return raw / divisor
