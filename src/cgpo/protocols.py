"""What each room offers to the others: one small protocol a verb."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from enum import IntEnum
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from cgpo.types import Objective, Prompt, Rollout, Sample, TrainingBatch, Verdict, Verdicts


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


class Cost(IntEnum):
    """How dear a judge is: what its attribute `cost` may say."""

    RULES = 0
    """Text is looked at in this process; also where a judge says nothing."""
    SANDBOX = 1
    """Programs are run."""
    MODEL = 2
    """A language model of this process is run."""
    ENDPOINT = 3
    """Somebody else's machine is asked."""


@runtime_checkable
class Judge(Protocol):
    """A constraint: says of each response whether it is satisfied, and why.

    A verdict may depend on the response and on the prompt's text, history, metadata and golden response; not on its
    key, which names the row in messages: equal content is judged once.

    A judge may have further attributes, which the panel reads once, but for `usage` and `judging`:

    - `cost`: a number, `Cost` or any other; cheap judges are asked first. Default: `Cost.RULES`.
    - `deterministic`: `False` where the same sample may get another verdict next time: then nothing is cached.
    - `version`: a text that changes whenever the same settings would give other verdicts than before.
    - `usage`: a mapping with the keys `calls` and `tokens`, counted since the judge was made; what caps look at.
    - `judging`: the samples that it is at now, read by another thread while it judges; a run that waits for the judge
      says which they are, and as long as they change the judge is not taken for stuck.
    - `interrupt(reason)`: called by another thread while it judges: makes `judge` return soon, with
      `Outcome.UNDECIDED` and the reason for samples that have no verdict yet, or raise. Without it, or where it does
      not help, the thread that judges is left behind, and another one asks the judge next.
    - `close()`: ends processes and connections.
    """

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """One verdict a sample, in order.

        A judge that fails on a sample answers `Outcome.UNDECIDED` for it, with the reason; where it has nothing to
        say of a prompt, `Outcome.NOT_APPLICABLE`.
        """
        ...


class ChecksPrompts(Protocol):
    """What a judge may offer besides: it is asked about every prompt at start-up."""

    def check_prompt(self, prompt: Prompt) -> None:
        """Asserts that the judge can read the prompt's metadata; a prompt that it does not apply to is fine.

        Raises:
            UserError: naming the row and what is wrong with it.
        """
        ...


class JudgePanel(Protocol):
    """A task's judges as one: the logical AND of those that apply.

    The class that a configuration names under `panel` is made once, with all judges, and offers `of(names)`, the panel
    of some of them.
    """

    @property
    def names(self) -> Sequence[str]:
        """The judges' names, in order."""
        ...

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """Every judge's verdicts on every sample."""
        ...

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """The same in the background, while the next task's responses are generated."""
        ...


class ConstrainedOptimizer(Protocol):
    """A task's objective: a pure function of its whole batch."""

    @property
    def uses_baseline_logprobs(self) -> bool:
        """Whether the objective is differentiated by the baseline responses' log-probabilities too."""
        ...

    @property
    def min_responses(self) -> int:
        """The fewest responses to a prompt that the objective can work with."""
        ...

    def __call__(self, batch: TrainingBatch) -> Objective:
        """The loss and its metrics."""
        ...
