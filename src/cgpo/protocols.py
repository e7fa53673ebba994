"""The protocols that objects of one room offer to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from cgpo.types import Prompt, Rollout, Sample, Verdicts


class Policy(Protocol):
    """A causal language model with its tokenizer."""

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
        """The token that pads a batch; the model never reads it."""
        ...

    @property
    def context_length(self) -> int:
        """The most tokens that the model can read, prompt and response together."""
        ...

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Returns the prompt's tokens in the chat template, so that the response can follow."""
        ...

    def encode_response(self, text: str) -> list[int]:
        """Returns a given response's tokens, with the token that ends it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Returns a response's text without special tokens."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Samples responses from a policy, without gradients."""

    @property
    def max_new_tokens(self) -> int:
        """The most tokens of a response."""
        ...

    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        """Samples `responses_per_prompt` responses to each prompt; the same seed gives the same responses.

        With a list of seeds, one for each prompt, a prompt's responses do not depend on the other prompts, so that
        several processes that share a batch sample what one would. There may be no prompt at all. A sampler that cuts
        the distribution says so in `Rollout.truncation`.
        """
        ...


@runtime_checkable
class RewardModel(Protocol):
    """Scores responses; higher is better."""

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Returns rewards `[N]`, float32, on the CPU, in the order of the samples."""
        ...


class JudgePanel(Protocol):
    """A task's judges as one: the logical AND of those that apply.

    The class that a configuration names under `panel` is made once, with all judges, and has a method `of(names)` that
    returns the panel of some of them. A user's class subclasses this one, for the defaults.
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
        """The panel of all judges that this one is a part of, and whose state covers it; by default this one."""
        return self

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """Returns every judge's verdicts on every sample."""
        ...

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """Judges in the background, while the next task's responses are generated."""
        ...

    def close(self) -> None:
        """Ends the processes and connections that the judges hold."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run must know of the judges: plain values and tensors."""
        return {}

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the states of one process, or of several."""
