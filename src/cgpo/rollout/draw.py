"""Drawing the next token from logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """How a token is drawn.

    Attributes:
        temperature: what the logits are divided by, above 0.
        top_p: mass of the most probable tokens that are sampled from; 1 keeps all.
        top_k: number of the most probable tokens that are sampled from; 0 keeps all.
        generator: source of the random numbers.
    """

    temperature: float
    top_p: float
    top_k: int
    generator: torch.Generator


def draw_tokens(logits: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Draws one token a row.

    Args:
        logits: `[N, V]`.
        draw: the settings.

    Returns:
        `[N]` tokens, and `[N]` their log-probabilities at the temperature, before any top-p or top-k cut.
    """
    scaled = logits if logits.dtype == torch.float64 else logits.float()
    logprobs = torch.log_softmax(scaled / draw.temperature, dim=-1)
    candidates = _cut(logprobs, draw)
    # The index of the largest p_i / e_i with exponential e_i is a draw from p: one pass, no cumulative sums.
    noise = torch.empty_like(candidates).exponential_(generator=draw.generator)
    tokens = (candidates - noise.log()).argmax(dim=-1)
    return tokens, logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _cut(logprobs: Tensor, draw: Draw) -> Tensor:
    """Minus infinity outside the top-k and the top-p nucleus; the most probable token always stays."""
    if draw.top_k:
        lowest = logprobs.topk(min(draw.top_k, logprobs.shape[-1]), dim=-1).values[..., -1:]
        logprobs = logprobs.masked_fill(logprobs < lowest, -torch.inf)
    if draw.top_p < 1.0:
        ordered, order = logprobs.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        outside = probabilities.cumsum(dim=-1) - probabilities >= draw.top_p
        logprobs = logprobs.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)
    return logprobs
