"""A task and a policy small enough for a test to train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.policy.tiny import save_tiny, words

import cgpo

ROWS = [words(4 + i % 20, 5 + i // 20) for i in range(60)]
"""Sixty prompts, no two alike."""


class Even(cgpo.Judge):
    """Satisfied by a response of an even number of words."""

    def judge(self, samples: Sequence[cgpo.Sample]) -> list[cgpo.Verdict]:
        even = [len(sample.response.split()) % 2 == 0 for sample in samples]
        return [cgpo.Verdict(cgpo.Outcome.SATISFIED if good else cgpo.Outcome.VIOLATED, "counted") for good in even]


class Short(cgpo.Judge):
    """Satisfied by a response of at most four words."""

    def judge(self, samples: Sequence[cgpo.Sample]) -> list[cgpo.Verdict]:
        short = [len(sample.response.split()) <= 4 for sample in samples]
        return [cgpo.Verdict(cgpo.Outcome.SATISFIED if good else cgpo.Outcome.VIOLATED, "counted") for good in short]


def length(sample: cgpo.Sample) -> float:
    return float(len(sample.response.split()))


def task(name: str = "chat", **settings: Any) -> cgpo.Task:
    """A task of sixty rows; longer responses are rewarded."""
    parts: dict[str, Any] = {"prompts": ROWS, "reward": length, "judges": [Even()], "gold": Even()}
    sizes = {"batch_size": 2, "responses_per_prompt": 3, "max_new_tokens": 6}
    return cgpo.Task(name, **{**parts, **sizes, **settings})


def tiny_folder(folder: Path) -> str:
    """A policy's folder."""
    return str(save_tiny(folder / "tiny"))


def fitted(where: Path, /, **settings: Any) -> cgpo.Run:
    """A run of two updates on one thread."""
    chosen = {"tasks": task(), "updates": 2, "learning_rate": 0.01, "threads": 1, "accelerator": "cpu"}
    policy = settings.pop("policy", None) or tiny_folder(where)
    return cgpo.fit(policy, **{"folder": where / "run", **chosen, **settings})
