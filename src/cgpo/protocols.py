"""What each room offers to the others: one small protocol a verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from torch import Tensor, nn

from cgpo.types import Prompt, Rollout, Sample, Verdicts


class Policy(Protocol):
    """A causal language model with its tokenizer: text in, token log-probabilities out."""

    @property
    def model(self) -> nn.Module:
        """The `transformers` causal language model."""
        ...

    @property
    def eos_ids(self) -> frozenset[int]:
        """The tokens that end a response."""
        ...

    @property
    def pad_id(self) -> int:
        """The token that fills a batch up; never read by the model."""
        ...

    @property
    def context_length(self) -> int:
        """The most tokens, prompt and response together, that the model can read."""
        ...

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, chat template applied, ready for the response to follow."""
        ...

    def encode_response(self, text: str) -> list[int]:
        """A given response's tokens, with the token that ends it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The response's text without special tokens."""
        ...


class Sampler(Protocol):
    """Draws responses from a policy, without gradients."""

    @property
    def max_new_tokens(self) -> int:
        """The most tokens of a response."""
        ...

    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        """Draws `responses_per_prompt` responses to each prompt; the same seed draws the same responses.

        With a list of seeds, one for each prompt, a prompt's responses do not depend on the others: several processes
        that share a batch draw what one would. There may be no prompt at all.
        """
        ...


class RewardModel(Protocol):
    """A scalar for each response, higher is better."""

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Rewards `[N]`, float32, on the CPU, in the order of the samples."""
        ...


class JudgePanel(Protocol):
    """A task's judges as one: the logical AND of those that apply.

    The class that a configuration names under `panel` is made once, with all judges, and offers `of(names)`, the panel
    of some of them. A class of one's own subclasses this one, for the defaults.
    """

    @property
    def names(self) -> Sequence[str]:
        """The judges' names, in order."""
        ...

    @property
    def cached(self) -> Sequence[str]:
        """The judges whose verdicts are kept between calls."""
        return ()

    @property
    def models(self) -> Sequence[nn.Module]:
        """The language models that the judges run in this process."""
        return ()

    @property
    def whole(self) -> JudgePanel:
        """The panel that this one is a part of, whose state is that of all its parts; by default this one."""
        return self

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """Every judge's verdicts on every sample."""
        ...

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """The same in the background, while the next task's responses are generated."""
        ...

    def close(self) -> None:
        """Ends the processes and connections that the judges hold."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know of the judges; plain values and tensors."""
        return {}

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the states of one process, or of several together."""
