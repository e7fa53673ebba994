"""What of a batch is not finite is named, and what does not count is not looked at."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cgpo.training.finite_checks import not_finite
from cgpo.types import Baseline, TrainingBatch

NAN, INF = math.nan, math.inf


def spoilt(tensor: Tensor, value: float, *place: int) -> Tensor:
    changed = tensor.clone()
    changed[place] = value
    return changed


def training_batch() -> TrainingBatch:
    """Two prompts with two responses each, of three tokens of which the last is padding; response (1, 1) undecided."""
    tokens = torch.zeros(2, 2, 3)
    mask = torch.tensor([True, True, False]).expand(2, 2, 3)
    yes = torch.ones(2, 2, dtype=torch.bool)
    baseline = Baseline(torch.zeros(2), yes[:, 0], torch.zeros(2, 2), torch.tensor([[True, False]] * 2))
    return TrainingBatch(
        logprobs=tokens,
        reference_logprobs=tokens,
        sampled_logprobs=tokens,
        response_mask=mask,
        reward=torch.zeros(2, 2),
        satisfied=yes,
        decided=torch.tensor([[True, True], [True, False]]),
        identity=torch.zeros(2, 2, dtype=torch.int64),
        baseline=baseline,
        values=tokens,
        sampled_values=tokens,
    )


def test_what_is_finite_is_sound() -> None:
    assert not_finite(training_batch()) is None
    assert not_finite(replace(training_batch(), values=None)) is None


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_is_not_is_named(value: float) -> None:
    good = training_batch()
    tokens = spoilt(good.logprobs, value, 1, 0, 1)
    baseline = good.baseline
    wrong = {
        "the reward is not finite in 1 of 3 places": replace(good, reward=spoilt(good.reward, value, 0, 1)),
        "the baseline's reward is not finite in 1 of 2 places": replace(
            good, baseline=replace(baseline, reward=spoilt(baseline.reward, value, 1))
        ),
        "the policy's log-probability is not finite in 1 of 8 places": replace(good, logprobs=tokens),
        "the reference's log-probability is not finite in 1 of 8 places": replace(good, reference_logprobs=tokens),
        "the baseline's log-probability is not finite in 1 of 2 places": replace(
            good, baseline=replace(baseline, logprobs=spoilt(baseline.logprobs, value, 0, 0))
        ),
        "the critic's value is not finite in 1 of 8 places": replace(good, values=tokens),
    }
    assert {message: not_finite(batch) for message, batch in wrong.items()} == {message: message for message in wrong}


def test_padding_and_undecided_responses_do_not_count() -> None:
    good = training_batch()
    padded = spoilt(good.logprobs, NAN, 0, 0, 2)
    batch = replace(
        good,
        logprobs=padded,
        reference_logprobs=padded,
        values=padded,
        reward=spoilt(good.reward, NAN, 1, 1),
        baseline=replace(good.baseline, logprobs=spoilt(good.baseline.logprobs, NAN, 0, 1)),
    )
    assert not_finite(batch) is None


def test_a_baseline_counts_while_one_of_its_prompt_s_responses_is_decided() -> None:
    good = training_batch()
    batch = replace(good, baseline=replace(good.baseline, reward=spoilt(good.baseline.reward, NAN, 1)))
    assert not_finite(batch) is not None
    undecided = replace(batch, decided=torch.tensor([[True, True], [False, False]]))
    assert not_finite(undecided) is None
