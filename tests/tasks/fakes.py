"""A task's rooms as small classes whose answers a test can see through."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tests.policy.tiny import prompt
from torch import Tensor

from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CRPG
from cgpo.protocols import Policy
from cgpo.rollout import DecodingSampler
from cgpo.tasks.expert import Expert
from cgpo.types import Outcome, Prompt, Rollout, Sample, Verdict


class WordReward:
    """The sum of the response's word numbers (`w7` is 7), scaled; counts what it was asked."""

    def __init__(self, scale: float = 0.01) -> None:
        self.scale = scale
        self.asked: list[Sample] = []

    def score(self, samples: Sequence[Sample]) -> Tensor:
        self.asked += samples
        sums = [sum(int(w[1:]) for w in s.response.split() if w[1:].isdigit()) for s in samples]
        return self.scale * torch.tensor(sums, dtype=torch.float32)


class RuleJudge(Judge):
    """A judge that says what a function of the sample says; counts what it was asked."""

    def __init__(self, rule: Callable[[Sample], Outcome]) -> None:
        self.rule = rule
        self.asked: list[Sample] = []

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.asked += samples
        return [Verdict(self.rule(s), f"by rule: {len(s.response)} characters") for s in samples]


def never(sample: Sample) -> Outcome:
    return Outcome.VIOLATED


def always(sample: Sample) -> Outcome:
    return Outcome.SATISFIED


def even(sample: Sample) -> Outcome:
    """Satisfied where the response has an even number of words."""
    return Outcome.SATISFIED if len(sample.response.split()) % 2 == 0 else Outcome.VIOLATED


class CountingSampler:
    """The decoding sampler, with a record of what was drawn with which seed."""

    def __init__(self, max_new_tokens: int = 6, temperature: float = 1.3) -> None:
        self._sampler = DecodingSampler(max_new_tokens, temperature)
        self.drawn: list[tuple[tuple[str, ...], int, int | Sequence[int]]] = []

    @property
    def max_new_tokens(self) -> int:
        return self._sampler.max_new_tokens

    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        self.drawn.append((tuple(p.key for p in prompts), responses_per_prompt, seed))
        return self._sampler.sample(policy, prompts, responses_per_prompt, seed)


def expert(**settings: Any) -> Expert:
    """A task of four prompts with golden responses; every part can be replaced."""
    parts: dict[str, Any] = {
        "name": "chat",
        "prompts": tuple(prompt(5 + i, 9 + i, response="w4 w5" if i % 2 else None) for i in range(4)),
        "held_out": (),
        "reward": WordReward(),
        "panel": Panel({"even": RuleJudge(even)}),
        "optimizer": CRPG(kl_max=8.0),
        "sampler": DecodingSampler(6, 1.3),
        "batch_size": 2,
        "responses_per_prompt": 3,
    }
    return Expert(**{**parts, **settings})
