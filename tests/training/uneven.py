"""Tasks whose prompts are a trouble to one process of two: slow, long, violated, undecided or without a number."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from tests.policy.tiny import prompt
from tests.tasks.fakes import RuleJudge, WordReward, always, even, expert
from torch import Tensor

from cgpo.distributed.process_group import Processes
from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.protocols import Policy
from cgpo.rollout import DecodingSampler
from cgpo.tasks.expert import Expert
from cgpo.training.steps import Steps
from cgpo.types import Outcome, Prompt, Rollout, Sample, Verdict

UPDATES = 2
SEED = 3
CASES = ("usual", "slow_judge", "long_responses", "violated", "undecided", "no_number", "alarm")
"""All but the first and the last are trouble with the prompts that the second of two processes gets."""
HELD_OUT = tuple(prompt(20 + i, 8 + i) for i in range(9))


class Sleepy(Judge):
    """Takes its time over some prompts' responses."""

    def __init__(self, slow: frozenset[str]) -> None:
        self.slow = slow

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        time.sleep(0.5 * any(sample.prompt.key in self.slow for sample in samples))
        return [Verdict(even(sample), "awake") for sample in samples]


class CutShort:
    """Responses of 24 tokens at most to some prompts, of one token to all others."""

    max_new_tokens = 24

    def __init__(self, long: frozenset[str]) -> None:
        self.long = long

    def sample(self, policy: Policy, prompts: Sequence[Prompt], copies: int, seed: int | Sequence[int]) -> Rollout:
        drawn = DecodingSampler(self.max_new_tokens, 1.3).sample(policy, prompts, copies, seed)
        limits = torch.tensor([24 if p.key in self.long else 1 for p in prompts for _ in range(copies)])
        width = 24 if any(p.key in self.long for p in prompts) else 1
        kept = drawn.response_mask & (torch.arange(drawn.response_mask.shape[1]) < limits[:, None])
        ids = drawn.response_ids.masked_fill(~kept, policy.pad_id)
        return replace(
            drawn,
            responses=tuple(policy.decode(row[keep].tolist()) for row, keep in zip(ids, kept, strict=True)),
            response_ids=ids[:, :width],
            response_mask=kept[:, :width],
            logprobs=drawn.logprobs.masked_fill(~kept, 0.0)[:, :width],
        )


class Numberless(WordReward):
    """Has no number for some prompts' responses."""

    def __init__(self, without: frozenset[str]) -> None:
        super().__init__()
        self.without = without

    def score(self, samples: Sequence[Sample]) -> Tensor:
        missing = torch.tensor([sample.prompt.key in self.without for sample in samples], dtype=torch.bool)
        return super().score(samples).masked_fill(missing, float("nan"))


class Drifting(WordReward, Judge):
    """A reward that has risen, and a gold judge that is satisfied no more, once an evaluation is over."""

    over = False

    def score(self, samples: Sequence[Sample]) -> Tensor:
        return super().score(samples) + 10.0 * self.over

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        return [Verdict(Outcome.VIOLATED if self.over else Outcome.SATISFIED, "by the time") for _ in samples]


def tasks(case: str) -> list[Expert]:
    """A task in trouble between two that are not; each prompt comes up once, so that it is one process's alone."""
    prompts = tuple(prompt(5 + i, 9 + i, response="w4 w5" if i % 2 else None) for i in range(4 * UPDATES))
    settings: dict[str, Any] = {
        "held_out": HELD_OUT,
        "gold": RuleJudge(even),
        "also": Panel({"all": RuleJudge(always)}),
    }
    first = expert(name="chat", batch_size=3, **settings)
    troubled = expert(name="math", batch_size=4, prompts=prompts, **settings)
    last = expert(name="safety", batch_size=1, **settings)
    return [first, replace(troubled, **trouble(case, far(troubled, first.batch_size))), last]


def trouble(case: str, far: frozenset[str]) -> dict[str, Any]:
    """What differs from an ordinary task."""
    if case == "slow_judge":
        return {"panel": Panel({"even": Sleepy(far)})}
    if case == "long_responses":
        return {"sampler": CutShort(far)}
    if case == "violated":
        return {"panel": Panel({"near": RuleJudge(lambda sample: near(sample, far, Outcome.VIOLATED))})}
    if case == "undecided":
        undecided = RuleJudge(lambda sample: near(sample, far, Outcome.UNDECIDED))
        return {"panel": Panel({"near": undecided, "all": RuleJudge(always)})}
    if case == "no_number":
        return {"reward": Numberless(far)}
    if case == "alarm":
        drifting = Drifting()
        return {"reward": drifting, "gold": drifting}
    return {}


def near(sample: Sample, far: frozenset[str], otherwise: Outcome) -> Outcome:
    return otherwise if sample.prompt.key in far else Outcome.SATISFIED


def far(task: Expert, offset: int) -> frozenset[str]:
    """Keys of the prompts that fall to the second of two processes."""
    second, steps = Processes(rank=1, size=2), Steps([task], UPDATES, SEED)
    batches = [steps[update][task.name] for update in range(UPDATES)]
    found = [batch[place].key for batch in batches for place in second.places(task.batch_size, offset)]
    assert len(set(found)) == len(found) == 2 * UPDATES
    return frozenset(found)
