"""Supervised fine-tuning on demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from cgpo.policy.causal import CausalPolicy
from cgpo.policy.logprobs import response_logprobs
from cgpo.stages.fitting import FitSettings, fit
from cgpo.tensors import pad_rows
from cgpo.types import Prompt


@dataclass(frozen=True)
class TokenizedExample:
    """The tokens of a prompt and of one response to it."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]


def encode_example(policy: CausalPolicy, prompt: Prompt, response: str) -> TokenizedExample:
    """Tokenizes a prompt and a response, which is cut where the context ends."""
    prompt_ids = tuple(policy.encode_prompt(prompt))
    room = policy.context_length - len(prompt_ids)
    return TokenizedExample(prompt_ids, tuple(policy.encode_response(response))[:room])


def token_logprobs(model: nn.Module, batch: Sequence[TokenizedExample], pad_id: int) -> tuple[Tensor, Tensor]:
    """Computes `[N, T]` log-probabilities of the responses' tokens, and returns them with their `[N, T]` mask."""
    device = next(model.parameters()).device
    ids, mask = pad_rows([row.response for row in batch], pad_id, device)
    return response_logprobs(model, [row.prompt for row in batch], ids, mask, 1.0, pad_id), mask


class Demonstrations(Protocol):
    """A source of demonstrations."""

    def load(self) -> Sequence[tuple[Prompt, str]]:
        """Loads prompts, each with the response to learn."""
        ...


class BasePolicy(Protocol):
    """The policy that fine-tuning starts from."""

    def load(self) -> CausalPolicy:
        """Loads the policy, whose weights may be changed."""
        ...


@dataclass(frozen=True)
class SupervisedFinetuning:
    """Maximizes the likelihood of demonstrated responses; prompts are not learned.

    Attributes:
        base: the policy to fine-tune.
        demonstrations: the demonstrations.
        fit: how the model is fitted.
    """

    base: BasePolicy
    demonstrations: Demonstrations
    fit: FitSettings

    def build(self, folder: Path) -> None:
        """Writes the policy as a `transformers` folder."""
        policy = self.base.load()
        examples = [encode_example(policy, prompt, response) for prompt, response in self.demonstrations.load()]
        fit(policy.model, examples, partial(negative_log_likelihood, pad_id=policy.pad_id), self.fit, "SFT")
        policy.save(folder)


def negative_log_likelihood(model: nn.Module, batch: Sequence[TokenizedExample], pad_id: int) -> Tensor:
    """Computes the mean negative log-likelihood of the responses' tokens, in nats."""
    logprobs, mask = token_logprobs(model, batch, pad_id)
    return -logprobs.sum() / mask.sum().clamp(min=1)
