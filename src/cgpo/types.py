"""The frozen data types of an iteration, in the order in which they are made.

`B` is the number of prompts of a task's batch, `K` the responses to each, `N = B * K`, `T` the longest response in
tokens. Responses are prompt-major: response `k` of prompt `b` has index `b * K + k`. In a mask `True` means that the
token counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

import torch
from torch import Tensor

Message = Mapping[str, str]
"""One turn of a conversation: `{"role": "user" | "assistant" | "system", "content": text}`."""


@dataclass(frozen=True)
class Prompt:
    """One row of a task's data.

    Attributes:
        key: the stable identity of the row, unique in its task (`gsm8k/train.jsonl:17`).
        text: the last thing that the user says.
        response: the golden response of the row, if it has one: the baseline response of eq. 5, option 1.
        metadata: what judges need (`answer`, `unit_tests`, `instruction_id_list`, `kwargs`, `ground_truth`, …).
        history: the turns before `text`, oldest first.
    """

    key: str
    text: str
    response: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A prompt and one response to it, which judges and reward models read."""

    prompt: Prompt
    response: str


class Outcome(StrEnum):
    """A judge's conclusion about a response. Only the first two judge the response."""

    SATISFIED = "satisfied"
    VIOLATED = "violated"
    NOT_APPLICABLE = "not_applicable"
    """The prompt does not concern the judge: neither a pass nor a violation."""
    UNDECIDED = "undecided"
    """The judge itself failed (time-out, unreachable, unreadable answer); the sample leaves the objective."""
    NOT_ASKED = "not_asked"
    """The panel did not ask the judge, since a cheaper one found a violation (`short_circuit`)."""


@dataclass(frozen=True)
class Verdict:
    """A judge's outcome on a response, with the reason, for a person to read."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Carrier:
    """The base of the data types that contain tensors."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Returns a copy whose tensors were changed one by one, in the order of the fields, including nested ones."""
        changed: dict[str, Any] = {f.name: _mapped(getattr(self, f.name), change) for f in fields(self)}
        return replace(self, **changed)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Returns a copy whose tensors were moved or cast by `Tensor.to`; a dtype does not affect masks and indices."""
        return self.map(lambda tensor: _moved(tensor, *args, **kwargs))


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Mapping):
        return _mapped_entries(value, change)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, Carrier):
        return value.map(change)
    return change(value) if isinstance(value, Tensor) else value


def _mapped_entries(values: Mapping[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    return {name: _mapped(value, change) for name, value in values.items()}


def _moved(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if tensor.is_floating_point():
        return tensor.to(*args, **kwargs)
    args = tuple(a.device if isinstance(a, Tensor) else a for a in args if not isinstance(a, torch.dtype))
    kwargs = {k: v for k, v in kwargs.items() if k != "dtype"}
    return tensor.to(*args, **kwargs) if args or kwargs else tensor


@dataclass(frozen=True)
class Rollout(Carrier):
    """Responses sampled from the policy.

    Attributes:
        prompts: the `B` prompts.
        prompt_ids: their tokens as the policy read them, ragged.
        responses: `N` texts, special tokens removed.
        response_ids: `[N, T]` sampled tokens, the end-of-sequence token included, padded on the right.
        response_mask: `[N, T]` bool.
        logprobs: `[N, T]` log-probability of each token under the policy that sampled it, at the sampling temperature
            and before any top-p or top-k cut; 0 where masked.
        finished: `[N]` bool, whether the response ended by itself rather than at the length limit.
        temperature: the number that the logits were divided by.
        truncation: how the distribution was cut before sampling, such as `top_p=0.9`; empty if every token could be
            sampled. If it was cut, the mean of log-ratios over the responses estimates no KL divergence.
    """

    prompts: tuple[Prompt, ...]
    prompt_ids: tuple[tuple[int, ...], ...]
    responses: tuple[str, ...]
    response_ids: Tensor
    response_mask: Tensor
    logprobs: Tensor
    finished: Tensor
    temperature: float
    truncation: str = ""

    @property
    def copies(self) -> int:
        """`K`, or 0 if there is no prompt."""
        return len(self.responses) // max(1, len(self.prompts))

    @property
    def samples(self) -> list[Sample]:
        """The `N` pairs of prompt and response."""
        return [Sample(self.prompts[i // self.copies], text) for i, text in enumerate(self.responses)]


@dataclass(frozen=True)
class Verdicts(Carrier):
    """The verdicts of a panel of judges on `N` responses.

    Attributes:
        by_judge: the `N` verdicts of each judge.
        satisfied: `[N]` bool, whether every applicable judge is satisfied (logical AND, Algorithm 1).
        decided: `[N]` bool, `False` where a judge was undecided and none found a violation.
        seconds: the wall-clock seconds that each judge took over all `N`.
        cached: for each judge with a cache, the number of samples, among those it was asked about, whose verdict was
            known from an earlier call.
    """

    by_judge: Mapping[str, tuple[Verdict, ...]]
    satisfied: Tensor
    decided: Tensor
    seconds: Mapping[str, float]
    cached: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Baseline(Carrier):
    """The baseline response of each prompt (eq. 5), which calibrates rewards, and which CRRAFT falls back to.

    Attributes:
        reward: `[B]` the reward of the baseline response.
        satisfied: `[B]` bool, whether the baseline response passes every applicable judge.
        logprobs: `[B, T']` its token log-probabilities under the current policy.
        response_mask: `[B, T']` bool.
    """

    reward: Tensor
    satisfied: Tensor
    logprobs: Tensor
    response_mask: Tensor


@dataclass(frozen=True)
class TrainingBatch(Carrier):
    """A task's whole batch, as a constrained optimizer sees it.

    Attributes:
        logprobs: `[B, K, T]` token log-probabilities under the current policy, by which an objective is differentiated.
        reference_logprobs: `[B, K, T]` the same under the reference policy.
        sampled_logprobs: `[B, K, T]` the same under the policy that sampled the responses; equal to `logprobs` at a
            rollout's first step.
        response_mask: `[B, K, T]` bool.
        reward: `[B, K]` raw reward `r(s, a)`.
        satisfied: `[B, K]` bool, whether every applicable judge is satisfied.
        decided: `[B, K]` bool; where it is `False` the sample leaves the objective.
        identity: `[B, K]` int64; equal for two responses to a prompt exactly if their tokens are equal.
        baseline: the baseline responses.
        values: `[B, K, T]` a critic's value of the state before each token, if the update has a critic; an objective is
            differentiated by it, too.
        sampled_values: `[B, K, T]` the same when the responses were sampled.
        violated: for each judge `[B, K]` bool, whether it found a violation.
    """

    logprobs: Tensor
    reference_logprobs: Tensor
    sampled_logprobs: Tensor
    response_mask: Tensor
    reward: Tensor
    satisfied: Tensor
    decided: Tensor
    identity: Tensor
    baseline: Baseline
    values: Tensor | None = None
    sampled_values: Tensor | None = None
    violated: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


@dataclass(frozen=True)
class Objective:
    """The result of a constrained optimizer.

    Attributes:
        loss: `[]` scalar to be minimised, attached to `TrainingBatch.logprobs` (and `Baseline.logprobs`) even if 0.
        metrics: scalars to be logged under `train/<task>/objective/`.
    """

    loss: Tensor
    metrics: Mapping[str, float]
