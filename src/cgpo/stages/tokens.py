"""Examples as tokens, batches of them as log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cgpo.policy.causal import CausalPolicy
from cgpo.policy.logprobs import response_logprobs
from cgpo.types import Prompt


@dataclass(frozen=True)
class Tokens:
    """A prompt's tokens and those of one response to it."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]


def encode(policy: CausalPolicy, prompt: Prompt, response: str) -> Tokens:
    """Tokens of a demonstration; the response is cut where the context ends."""
    prompt_ids = tuple(policy.encode_prompt(prompt))
    return Tokens(prompt_ids, tuple(policy.encode_response(response))[: policy.context_length - len(prompt_ids)])


def token_logprobs(model: nn.Module, batch: Sequence[Tokens], pad_id: int) -> tuple[Tensor, Tensor]:
    """`[N, T]` log-probabilities of the responses' tokens and `[N, T]` their mask."""
    device = next(model.parameters()).device
    width = max(len(row.response) for row in batch)
    ids = torch.tensor([[*row.response, *[pad_id] * (width - len(row.response))] for row in batch], device=device)
    lengths = torch.tensor([len(row.response) for row in batch], device=device)
    mask = torch.arange(width, device=device) < lengths[:, None]
    return response_logprobs(model, [row.prompt for row in batch], ids, mask, 1.0, pad_id), mask
