"""Drawing the next token from logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplingParameters:
    """How a token is drawn.

    Attributes:
        temperature: what the logits are divided by, above 0.
        top_p: mass of the most probable tokens that are sampled from; 1 keeps all.
        top_k: number of the most probable tokens that are sampled from; 0 keeps all.
    """

    temperature: float
    top_p: float
    top_k: int


def sample_tokens(logits: Tensor, draw: SamplingParameters, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Draws one token a row.

    Args:
        logits: `[N, V]`.
        draw: the settings.
        uniform: `[N]` float64 random numbers in [0, 1), one a row.

    Returns:
        `[N]` tokens, and `[N]` their log-probabilities at the temperature, before any top-p or top-k cut.
    """
    scaled = logits if logits.dtype == torch.float64 else logits.float()
    logprobs = torch.log_softmax(scaled / draw.temperature, dim=-1)
    candidates = _cut(logprobs, draw)
    # One uniform number a row, found among the cumulated probabilities: noise for every token of the vocabulary, as
    # `torch.multinomial` draws it, costs more than a tiny model's forward pass. In float64 no token is too rare; what
    # was cut adds nothing to the sum, so that nothing falls on it.
    cumulated = candidates.double().exp().cumsum(dim=-1)
    tokens = torch.searchsorted(cumulated, uniform[:, None] * cumulated[:, -1:], right=True).squeeze(-1)
    return tokens, logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _cut(logprobs: Tensor, draw: SamplingParameters) -> Tensor:
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
