"""Numbers that are not finite never reach the weights: the update is skipped, counted and kept."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.fakes import WordReward, expert
from tests.training.tiny_runs import adam, fit, module_of, weights
from torch import Tensor

from cgpo.errors import UserError
from cgpo.optimizer import CRPG
from cgpo.training.callbacks import SkippedUpdates
from cgpo.types import Objective, Sample, TrainingBatch


class Broken(WordReward):
    """From some question on, one reward is not a number."""

    def __init__(self, wrong: float, calls: Sequence[int]) -> None:
        super().__init__(0.1)
        self.wrong = wrong
        self.calls = calls
        self.count = 0

    def score(self, samples: Sequence[Sample]) -> Tensor:
        found = super().score(samples)
        self.count += 1
        if self.count in self.calls:
            found[1] = self.wrong
        return found


class Exploding(CRPG):
    """An objective whose gradient is infinite at one token."""

    def __call__(self, training_batch: TrainingBatch) -> Objective:
        whole = super().__call__(training_batch)
        return Objective(
            whole.loss + (training_batch.logprobs[0, 0, 0] * math.inf).nan_to_num(posinf=math.inf), whole.metrics
        )


@pytest.fixture
def skipped(tmp_path: Path) -> SkippedUpdates:
    return SkippedUpdates(str(tmp_path / "skipped"), most=1)


def rows(folder: Path) -> list[list[dict[str, Any]]]:
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in sorted(folder.iterdir())]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite(skipped: SkippedUpdates, wrong: float) -> None:
    # Asked first about the update's baselines, then about its responses.
    module = module_of([expert(reward=Broken(wrong, [2])), expert(name="math")], weight_optimizer=adam)
    before = weights(module)
    trainer = fit(module, 1, skipped)
    assert trainer.global_step == 1, "the update counts"
    assert torch.equal(weights(module), before)
    assert not trainer.optimizers[0].state, "nor do its moments move"
    assert skipped.count == 1
    ((first, *responses),) = rows(skipped.folder)
    assert first == {"problems": {"chat": "the reward is not finite in 1 of 6 places"}}
    assert len(responses) == 12
    assert [row["task"] for row in responses] == ["chat"] * 6 + ["math"] * 6
    assert responses[1]["reward"] == str(wrong)
    assert isinstance(responses[0]["reward"], float)


def test_the_other_updates_are_those_of_a_run_without_it(skipped: SkippedUpdates) -> None:
    module = module_of([expert(reward=Broken(math.nan, [2]))], weight_optimizer=adam)
    fit(module, 3, skipped)
    assert skipped.count == 1
    assert weights(module).isfinite().all()
    assert not torch.equal(weights(module), weights(module_of([expert()])))


def test_a_gradient_that_is_not_finite(skipped: SkippedUpdates) -> None:
    module = module_of([expert(optimizer=Exploding(8.0))], weight_optimizer=adam, clip_norm=1.0)
    before = weights(module)
    fit(module, 1, skipped)
    assert torch.equal(weights(module), before)
    ((first, *_),) = rows(skipped.folder)
    assert first["problems"] == {"gradient": "the gradient is not finite"}


def test_too_many_end_the_run_in_one_line(skipped: SkippedUpdates) -> None:
    module = module_of([expert(reward=Broken(math.nan, range(2, 99)))])
    with pytest.raises(
        UserError, match=r"^2 updates were skipped, more than callbacks.skipped.most=1: chat: the reward"
    ):
        fit(module, 5, skipped)


def test_a_run_that_goes_on_goes_on_counting(skipped: SkippedUpdates) -> None:
    skipped.count = 1
    other = SkippedUpdates(str(skipped.folder), most=1)
    other.load_state_dict(skipped.state_dict())
    module = module_of([expert(reward=Broken(math.nan, [2]))])
    with pytest.raises(UserError, match="2 updates were skipped"):
        fit(module, 1, other)
