"""The constrained optimizers against plain Python, on random batches."""

import math
from collections.abc import Sequence
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.optimizer import plain
from tests.optimizer.batches import Response, Row, differentiate, scored, token_gradients

from cgpo.optimizer import CODPO, CRPG, CRRAFT
from cgpo.optimizer.base import ConstrainedOptimizer

QUARTERS = st.integers(-20, 0).map(lambda i: i / 4)
"""Log-probabilities whose sums are exact, so that `ρ = KL_max` means the same in both implementations."""
REWARDS = st.one_of(st.integers(-6, 6).map(lambda i: i / 2), st.floats(-30, 30))
POSITIVE = st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0])


@st.composite
def response(draw: st.DrawFn) -> Response:
    length = draw(st.integers(0, 3))
    tokens = st.lists(QUARTERS, min_size=length, max_size=length).map(tuple)
    return Response(
        logprobs=draw(tokens),
        reference=draw(tokens),
        reward=draw(REWARDS),
        satisfied=draw(st.booleans()),
        decided=draw(st.sampled_from([True, True, True, False])),
        identity=draw(st.one_of(st.none(), st.integers(0, 1))),
    )


@st.composite
def batch(draw: st.DrawFn) -> list[Row]:
    responses = draw(st.integers(1, 4))
    return [
        Row(
            responses=tuple(draw(response()) for _ in range(responses)),
            baseline_reward=draw(REWARDS),
            baseline_satisfied=draw(st.booleans()),
            baseline_logprobs=tuple(draw(st.lists(QUARTERS, min_size=1, max_size=3))),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


def assert_same(found: Sequence[Sequence[Sequence[float]]], wanted: plain.Gradient) -> None:
    for of_prompt, wanted_of_prompt in zip(found, wanted, strict=True):
        for tokens, wanted_tokens in zip(of_prompt, wanted_of_prompt, strict=True):
            assert tokens == pytest.approx(wanted_tokens, rel=1e-12, abs=1e-13)


@settings(max_examples=100)
@given(batch(), POSITIVE, st.one_of(st.none(), POSITIVE))
def test_crpg_equals_the_formulas(rows: list[Row], kl_max: float, cap: float | None) -> None:
    loss, wanted = plain.crpg(rows, kl_max, math.inf if cap is None else cap)
    tensors = scored(rows)
    objective, gradient, _ = differentiate(CRPG(kl_max, cap), tensors)
    assert objective.loss.item() == pytest.approx(loss, rel=1e-12, abs=1e-12)
    assert_same(token_gradients(tensors, gradient), wanted)


@settings(max_examples=100)
@given(batch(), POSITIVE, st.sampled_from([0.0, 0.1, 1.0]))
def test_codpo_equals_the_formulas(rows: list[Row], beta: float, weight: float) -> None:
    loss, wanted = plain.codpo(rows, beta, weight)
    tensors = scored(rows)
    objective, gradient, _ = differentiate(CODPO(beta, weight), tensors)
    assert objective.loss.item() == pytest.approx(loss, rel=1e-12, abs=1e-12)
    assert_same(token_gradients(tensors, gradient), wanted)


@settings(max_examples=100)
@given(batch(), POSITIVE)
def test_crraft_equals_the_formulas(rows: list[Row], kl_max: float) -> None:
    loss, wanted, wanted_baselines = plain.crraft(rows, kl_max)
    tensors = scored(rows)
    objective, gradient, baselines = differentiate(CRRAFT(kl_max), tensors)
    assert objective.loss.item() == pytest.approx(loss, rel=1e-12, abs=1e-12)
    assert_same(token_gradients(tensors, gradient), wanted)
    assert baselines is not None
    mask = tensors.baseline.response_mask
    assert_same([[row[kept].tolist() for row, kept in zip(baselines, mask, strict=True)]], [wanted_baselines])
    assert (baselines[~mask] == 0).all()


OPTIMIZERS = pytest.mark.parametrize(
    "optimizer", [CRPG(2.0), CODPO(0.5, 0.1), CRRAFT(2.0)], ids=lambda o: type(o).__name__
)


@OPTIMIZERS
@settings(max_examples=30)
@given(batch(), st.integers(1, 3), st.sampled_from([math.nan, math.inf, -math.inf, 1e30]))
def test_masked_positions_are_never_read(
    optimizer: ConstrainedOptimizer, rows: list[Row], padding: int, garbage: float
) -> None:
    clean, dirty = scored(rows), scored(rows, padding, garbage)
    wanted, wanted_gradient, _ = differentiate(optimizer, clean)
    found, gradient, _ = differentiate(optimizer, dirty)
    assert found.loss.item() == wanted.loss.item()
    assert found.metrics == wanted.metrics
    assert token_gradients(dirty, gradient) == token_gradients(clean, wanted_gradient)


@OPTIMIZERS
@settings(max_examples=30)
@given(batch(), st.randoms(use_true_random=False))
def test_the_order_of_prompts_does_not_matter(optimizer: ConstrainedOptimizer, rows: list[Row], random: Random) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    wanted, gradient, _ = differentiate(optimizer, scored(rows))
    found, shuffled, _ = differentiate(optimizer, scored([rows[i] for i in order]))
    assert found.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-12, abs=1e-12)
    torch.testing.assert_close(shuffled, gradient[order], rtol=1e-12, atol=1e-13)


@OPTIMIZERS
@settings(max_examples=30)
@given(batch(), st.sampled_from([math.inf, -math.inf, math.nan]))
def test_rewards_of_undecided_responses_are_never_read(
    optimizer: ConstrainedOptimizer, rows: list[Row], reward: float
) -> None:
    """Selection masks with infinities; times 0 they would be NaN."""
    tensors = scored(rows)
    wanted, gradient, _ = differentiate(optimizer, tensors)
    tensors.reward[~tensors.decided] = reward
    found, with_garbage, _ = differentiate(optimizer, tensors)
    assert found.loss.item() == wanted.loss.item()
    assert torch.equal(with_garbage, gradient)


@OPTIMIZERS
@settings(max_examples=30)
@given(batch())
def test_an_update_raises_no_violated_response(optimizer: ConstrainedOptimizer, rows: list[Row]) -> None:
    """The loss never falls with the likelihood of a violated response, so descent never makes one more likely."""
    tensors = scored(rows)
    _, gradient, _ = differentiate(optimizer, tensors)
    assert (gradient[~tensors.satisfied] >= 0).all()


@OPTIMIZERS
def test_a_single_violated_batch_has_exactly_no_gradient(optimizer: ConstrainedOptimizer) -> None:
    rows = [Row(tuple(Response((-1.0 / 3,), (-0.7,), r, satisfied=False) for r in (0.1, -0.3, 7.0)))] * 3
    objective, gradient, _ = differentiate(optimizer, scored(rows))
    assert objective.loss.requires_grad
    assert torch.equal(gradient, torch.zeros_like(gradient))
