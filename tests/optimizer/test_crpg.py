"""CRPG by hand. sigmoid(ln 3) = 3/4, sigmoid(0) = 1/2, sigmoid(−ln 3) = 1/4."""

import math
from dataclasses import replace

import pytest
from tests.optimizer.batches import Response, Row, differentiate, scored, token_gradients

from cgpo.errors import UserError
from cgpo.optimizer import CRPG

LN3 = math.log(3.0)

# ρ = −2 − (−3) = 1, so the factor is 1 − 1/4 = 0.75, and R̃ = 0.75 · 0.75 = 0.5625
BETTER = Response((-1.0, -1.0), (-1.5, -1.5), LN3)
# ρ = 0, the factor 1, R̃ = 0.5
EQUAL = Response((-3.0,), (-3.0,), 0.0)
# ρ = −3 − (−1) = −2, the factor 1 + 2/4 = 1.5, R̃ = 1.5 · 0.25 = 0.375
WORSE = Response((-1.0, -2.0), (-0.5, -0.5), -LN3)
VIOLATED = Response((-0.5, -0.5, -1.0), (-0.5, -0.5, -1.0), 5.0, satisfied=False)


def test_a_mixed_batch() -> None:
    # mean = (0.5625 + 0.5 + 0.375 + 0) / 4 = 0.359375
    # advantages 0.203125, 0.140625, 0.015625, −0.359375; a token's derivative is −advantage / 4
    batch = scored([Row((BETTER, EQUAL)), Row((WORSE, VIOLATED))])
    objective, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    found = token_gradients(batch, gradient)
    assert found[0][0] == pytest.approx([-0.05078125] * 2, abs=1e-15)
    assert found[0][1] == pytest.approx([-0.03515625], abs=1e-15)
    assert found[1][0] == pytest.approx([-0.00390625] * 2, abs=1e-15)
    assert found[1][1] == pytest.approx([0.08984375] * 3, abs=1e-15)
    # −0.40625 − 0.421875 − 0.046875 + 0.71875 = −0.15625, over −4
    assert objective.loss.item() == pytest.approx(0.0390625, abs=1e-15)
    assert objective.metrics["regularised_reward"] == pytest.approx(0.359375)
    assert objective.metrics["beyond_kl_max"] == 0.0


def test_the_cap_takes_the_bonus_of_unlikely_responses() -> None:
    # With the factor capped at 1, WORSE has R̃ = 0.25: mean = (0.5625 + 0.5 + 0.25 + 0) / 4 = 0.328125
    # advantages 0.234375, 0.171875, −0.078125, −0.328125
    batch = scored([Row((BETTER, EQUAL)), Row((WORSE, VIOLATED))])
    _, gradient, _ = differentiate(CRPG(kl_max=4.0, factor_cap=1.0), batch)
    found = token_gradients(batch, gradient)
    assert found[0][0][0] == pytest.approx(-0.05859375, abs=1e-15)
    assert found[0][1][0] == pytest.approx(-0.04296875, abs=1e-15)
    assert found[1][0][0] == pytest.approx(0.01953125, abs=1e-15)
    assert found[1][1][0] == pytest.approx(0.08203125, abs=1e-15)


def test_all_violated_moves_nothing_and_stays_attached() -> None:
    batch = scored([Row((VIOLATED, replace(VIOLATED, reward=-7.0))), Row((VIOLATED, VIOLATED))])
    objective, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    assert objective.loss.requires_grad
    assert objective.loss.item() == 0.0
    assert (gradient == 0.0).all()


def test_one_satisfied_among_violated() -> None:
    # R̃ = 0.5, 0: mean 0.25, advantages ±0.25, derivatives ∓0.125
    batch = scored([Row((EQUAL, VIOLATED))])
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    assert token_gradients(batch, gradient) == [[[-0.125], [0.125] * 3]]


def test_equal_regularised_rewards_cancel() -> None:
    # None violated and all of R̃ = 0.5: every advantage is 0
    batch = scored([Row((EQUAL, EQUAL)), Row((EQUAL, EQUAL))])
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    assert (gradient == 0.0).all()


def test_negative_rewards_count_from_the_baseline() -> None:
    # r = −5 − ln 3 and −5 against ā = −5 are calibrated to 1/4 and 1/2: mean 3/8, advantages ∓1/8, derivatives ±1/16
    low, high = (Response((-1.0,), (-1.0,), reward) for reward in (-5.0 - LN3, -5.0))
    batch = scored([Row((low, high), baseline_reward=-5.0)])
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    assert gradient.flatten().tolist() == pytest.approx([0.0625, -0.0625], abs=1e-15)


def test_beyond_the_kl_limit_a_response_earns_nothing_but_still_loses() -> None:
    # ρ = 6 > 4: R̃ = 0 in spite of r = +9; the other one 0.5: as one satisfied among violated
    far = Response((-1.0,), (-7.0,), 9.0)
    batch = scored([Row((EQUAL, far))])
    objective, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    assert gradient.flatten().tolist() == [-0.125, 0.125]
    assert objective.metrics["beyond_kl_max"] == 0.5


def test_at_the_kl_limit_a_response_earns_nothing() -> None:
    at_limit = Response((-1.0,), (-5.0,), 9.0)
    objective, gradient, _ = differentiate(CRPG(kl_max=4.0), scored([Row((EQUAL, at_limit))]))
    assert gradient.flatten().tolist() == [-0.125, 0.125]
    assert objective.metrics["beyond_kl_max"] == 0.5


def test_one_response_a_prompt_is_centred_over_the_batch() -> None:
    # K = 1, two prompts: R̃ = 0.5 and 0, mean over the batch 0.25 rather than over each prompt
    batch = scored([Row((EQUAL,)), Row((VIOLATED,))])
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    assert token_gradients(batch, gradient) == [[[-0.125]], [[0.125] * 3]]


def test_a_single_response_moves_nothing() -> None:
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), scored([Row((EQUAL,))]))
    assert (gradient == 0.0).all()


def test_an_empty_response_counts_in_the_mean() -> None:
    # The empty response has ρ = 0 and R̃ = 0.75; mean (0.75 + 0.5) / 2 = 0.625, the other's advantage −0.125
    empty = Response((), (), LN3)
    batch = scored([Row((empty, EQUAL))])
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), batch)
    found = token_gradients(batch, gradient)
    assert found[0][0] == []
    assert found[0][1] == pytest.approx([0.0625], abs=1e-15)


@pytest.mark.parametrize("satisfied", [True, False])
def test_an_undecided_response_is_as_if_it_had_not_been_drawn(satisfied: bool) -> None:
    unknown = replace(VIOLATED, decided=False, satisfied=satisfied, reward=math.nan)
    with_it = scored([Row((EQUAL, VIOLATED, unknown))])
    objective, gradient, _ = differentiate(CRPG(kl_max=4.0), with_it)
    assert token_gradients(with_it, gradient) == [[[-0.125], [0.125] * 3, [0.0] * 3]]
    without, _, _ = differentiate(CRPG(kl_max=4.0), scored([Row((EQUAL, VIOLATED))]))
    assert objective.loss.item() == without.loss.item()
    assert objective.metrics == without.metrics


def test_all_undecided_moves_nothing_and_stays_attached() -> None:
    objective, gradient, _ = differentiate(CRPG(kl_max=4.0), scored([Row((replace(EQUAL, decided=False),) * 2)]))
    assert objective.loss.requires_grad
    assert objective.loss.item() == 0.0
    assert (gradient == 0.0).all()


def test_the_reward_is_constant_for_the_gradient() -> None:
    # Were R̃ differentiated too, the reference would matter beyond the factor's value; both have the factor 0.75.
    near, far = (Response((p,), (p - 1.0,), LN3) for p in (-1.0, -9.0))
    _, gradient, _ = differentiate(CRPG(kl_max=4.0), scored([Row((near, VIOLATED)), Row((far, VIOLATED))]))
    assert gradient[0, 0, 0] == gradient[1, 0, 0]
    assert gradient[0, 0, 0].item() == pytest.approx(-(0.5625 - 0.28125) / 4, abs=1e-15)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "4", None])
def test_kl_max_must_be_a_positive_number(value: object) -> None:
    with pytest.raises(UserError, match=r"^CRPG\.kl_max is .*above 0, in nats a response$"):
        CRPG(kl_max=value)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_the_cap_must_be_a_positive_number(value: float) -> None:
    with pytest.raises(UserError, match=r"^CRPG\.factor_cap"):
        CRPG(kl_max=1.0, factor_cap=value)


@pytest.mark.parametrize("name", ["reference_logprobs", "response_mask", "reward", "satisfied", "decided", "identity"])
def test_a_tensor_of_another_shape_is_named(name: str) -> None:
    batch = scored([Row((EQUAL, EQUAL))])
    wrong = replace(batch, **{name: getattr(batch, name)[:, :1]})
    with pytest.raises(ValueError, match=f"^{name} has shape"):
        CRPG(kl_max=1.0)(wrong)
