"""Supervised fine-tuning on demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from cgpo.policy.causal import CausalPolicy
from cgpo.policy.logprobs import response_logprobs
from cgpo.stages.fitting import FitSettings, fit
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


class Demonstrations(Protocol):
    """Where demonstrations come from."""

    def load(self) -> Sequence[tuple[Prompt, str]]:
        """Prompts, each with the response to be learnt."""
        ...


class BasePolicy(Protocol):
    """What fine-tuning starts from."""

    def load(self) -> CausalPolicy:
        """The policy, with weights that may be changed."""
        ...


@dataclass(frozen=True)
class SupervisedFinetuning:
    """Maximises the likelihood of demonstrated responses; prompts are not learnt.

    Attributes:
        base: what is fine-tuned.
        demonstrations: on what.
        fit: how.
    """

    base: BasePolicy
    demonstrations: Demonstrations
    fit: FitSettings

    def build(self, folder: Path) -> None:
        """Writes the policy as a `transformers` folder."""
        policy = self.base.load()
        examples = [encode(policy, prompt, response) for prompt, response in self.demonstrations.load()]
        fit(policy.model, examples, partial(negative_log_likelihood, pad_id=policy.pad_id), self.fit, "SFT")
        policy.save(folder)


def negative_log_likelihood(model: nn.Module, batch: Sequence[Tokens], pad_id: int) -> Tensor:
    """Mean over the responses' tokens, in nats."""
    logprobs, mask = token_logprobs(model, batch, pad_id)
    return -logprobs.sum() / mask.sum().clamp(min=1)
