"""Supervised fine-tuning on demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from cgpo.policy.causal import CausalPolicy
from cgpo.stages.fitting import FitSettings, fit
from cgpo.stages.tokens import Tokens, encode, token_logprobs
from cgpo.types import Prompt


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
