"""Sampling the next token from logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cgpo.tensors import at_least_float32


@dataclass(frozen=True)
class SamplingParameters:
    """The distribution that tokens are sampled from.

    Attributes:
        temperature: divides the logits; above 0.
        top_p: the probability mass of the likeliest tokens that are kept; 1 keeps all.
        top_k: the number of likeliest tokens that are kept; 0 keeps all.
    """

    temperature: float
    top_p: float
    top_k: int


def sample_tokens(logits: Tensor, parameters: SamplingParameters, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Samples one token a row.

    Args:
        logits: `[N, V]`.
        parameters: the distribution.
        uniform: `[N]` float64 random numbers in [0, 1), one a row.

    Returns:
        `[N]` tokens, and their `[N]` log-probabilities at the temperature, before any top-p or top-k cut.
    """
    scaled = logits.to(at_least_float32(logits.dtype))
    logprobs = torch.log_softmax(scaled / parameters.temperature, dim=-1)
    candidates = _truncate(logprobs, parameters)
    # One uniform number a row, found among the cumulative probabilities: noise for every token of the vocabulary, which
    # `torch.multinomial` draws, costs more than a tiny model's forward pass. In float64 no token is too rare to be
    # drawn, and tokens that were cut add nothing to the sum, so that no number falls on them.
    cumulative = candidates.double().exp().cumsum(dim=-1)
    tokens = torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:], right=True).squeeze(-1)
    return tokens, logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _truncate(logprobs: Tensor, parameters: SamplingParameters) -> Tensor:
    """Puts minus infinity outside the top-k and the top-p nucleus; the likeliest token always stays."""
    if parameters.top_k:
        lowest = logprobs.topk(min(parameters.top_k, logprobs.shape[-1]), dim=-1).values[..., -1:]
        logprobs = logprobs.masked_fill(logprobs < lowest, -torch.inf)
    if parameters.top_p < 1.0:
        ordered, order = logprobs.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        outside = probabilities.cumsum(dim=-1) - probabilities >= parameters.top_p
        logprobs = logprobs.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)
    return logprobs
