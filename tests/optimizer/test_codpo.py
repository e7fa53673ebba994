"""CODPO by hand. With β = 1 and ρ(a+) − ρ(a−) = ln 3 the margin's σ is 3/4, and the pull 1 − 3/4 = 1/4."""

import math
from dataclasses import replace

import pytest
import torch
from tests.optimizer.batches import Response, Row, differentiate, scored, token_gradients

from cgpo.errors import UserError
from cgpo.optimizer import CODPO

LN3 = math.log(3.0)


def of(reward: float, satisfied: bool = True, decided: bool = True, identity: int | None = None) -> Response:
    return Response((-1.0,), (-1.0,), reward, satisfied, decided, identity)


def pair(*responses: Response) -> tuple[int, int] | None:
    chosen = CODPO().choose(scored([Row(responses)]))
    return (int(chosen.better), int(chosen.worse)) if chosen.exists else None


def test_the_loss_and_its_gradient() -> None:
    # ρ(a+) = −2 − (−2 − ln 3) = ln 3, ρ(a−) = 0: ℓ = ln 0.75; λ/|a+| · log π(a+) = 0.5/2 · −2 = −0.5
    # loss = −(ln 0.75 − 0.5) = 0.7876820724517809
    # a+ token: −(β·0.25 + λ/2) = −(0.25 + 0.25) = −0.5; a− token: +0.25
    batch = scored([Row((Response((-1.0, -1.0), (-1.0 - LN3, -1.0), 2.0), of(1.0, satisfied=False)))])
    objective, gradient, _ = differentiate(CODPO(beta=1.0, positive_weight=0.5), batch)
    found = token_gradients(batch, gradient)
    assert found[0][0] == pytest.approx([-0.5, -0.5], abs=1e-15)
    assert found[0][1] == pytest.approx([0.25], abs=1e-15)
    assert objective.loss.item() == pytest.approx(0.7876820724517809, abs=1e-15)
    assert objective.metrics == {"paired_prompts": 1.0, "pair_accuracy": 1.0}


def test_a_skipped_prompt_contributes_nothing_and_stays_in_the_mean() -> None:
    # The first prompt: equal ratios, σ(0) = 1/2, pull β/2 = 0.25, over B = 2 prompts 0.125; λ = 0
    paired = Row((of(1.0), of(0.0, satisfied=False)))
    skipped = Row((of(3.0, satisfied=False), of(4.0, satisfied=False)))
    objective, gradient, _ = differentiate(CODPO(beta=0.5, positive_weight=0.0), scored([paired, skipped]))
    assert gradient.squeeze(-1).tolist() == [[-0.125, 0.125], [0.0, 0.0]]
    assert objective.loss.item() == pytest.approx(math.log(2) / 2, abs=1e-15)
    assert objective.metrics["paired_prompts"] == 0.5


def test_all_violated_moves_nothing_and_stays_attached() -> None:
    objective, gradient, _ = differentiate(CODPO(), scored([Row((of(1.0, False), of(2.0, False)))] * 2))
    assert objective.loss.requires_grad
    assert objective.loss.item() == 0.0
    assert (gradient == 0.0).all()
    assert objective.metrics == {"paired_prompts": 0.0, "pair_accuracy": 0.0}


def test_best_satisfied_and_worst_violated() -> None:
    assert pair(of(9.0, False), of(1.0), of(3.0), of(4.0, False), of(-1.0)) == (2, 3)


def test_negative_rewards_are_not_taken_for_masked_zeros() -> None:
    # Multiplying with 0/1 would take index 0 (0 > −2) as a+, and a violated one of reward 0 for the lowest.
    assert pair(of(-1.0, False), of(-3.0), of(-2.0), of(-4.0, False)) == (2, 3)


def test_positive_rewards_are_not_taken_for_masked_zeros() -> None:
    # The lowest violated reward is 5; the satisfied ones times 0 would be lower.
    assert pair(of(1.0), of(5.0, False), of(7.0, False)) == (0, 1)


def test_nothing_violated_takes_the_lowest_satisfied() -> None:
    assert pair(of(1.0), of(3.0), of(-2.0)) == (1, 2)


def test_ties_take_the_first() -> None:
    assert pair(of(2.0), of(2.0), of(1.0, False), of(1.0, False)) == (0, 2)
    assert pair(of(2.0), of(2.0)) == (0, 1)


def test_a_pair_needs_two_different_responses() -> None:
    assert pair(of(2.0, identity=0), of(2.0, identity=0)) is None
    assert pair(of(2.0, identity=0), of(1.0, identity=1), of(0.0, identity=0)) == (0, 1)
    assert pair(of(2.0)) is None


def test_a_violated_twin_of_the_best_is_no_rival() -> None:
    # A judge of two minds: the same tokens satisfied once and violated once. Nothing else is violated.
    assert pair(of(2.0, identity=0), of(1.0, False, identity=0)) is None
    assert pair(of(2.0, identity=0), of(1.0, False, identity=0), of(1.5, False)) == (0, 2)


def test_undecided_responses_are_never_selected() -> None:
    nan = math.nan
    assert pair(of(nan, decided=False), of(1.0), of(-9.0, False, decided=False), of(0.0, False)) == (1, 3)
    assert pair(of(1.0), of(0.0, False, decided=False)) is None
    assert pair(of(5.0, decided=False), of(0.0, False)) is None


def test_an_empty_positive_response() -> None:
    # |a+| counts as at least 1 and its likelihood is 0: loss = −ln σ(0 − 0) = ln 2; a− token: +β/2
    batch = scored([Row((Response((), (), 2.0), of(1.0, satisfied=False)))])
    objective, gradient, _ = differentiate(CODPO(beta=0.5, positive_weight=1.0), batch)
    assert token_gradients(batch, gradient) == [[[], [0.25]]]
    assert objective.loss.item() == pytest.approx(math.log(2), abs=1e-15)


def test_an_empty_negative_response() -> None:
    # a+ token: −(β·½ + λ/1) = −(0.25 + 1)
    batch = scored([Row((of(2.0), Response((), (), 1.0, satisfied=False)))])
    _, gradient, _ = differentiate(CODPO(beta=0.5, positive_weight=1.0), batch)
    assert token_gradients(batch, gradient) == [[[-1.25], []]]


def test_a_hopeless_margin_stays_finite() -> None:
    # β·(ρ+ − ρ−) = −1000: −ln σ = 1000 and the pull is β itself
    batch = scored([Row((Response((-1001.0,), (-1.0,), 2.0), of(1.0, satisfied=False)))])
    objective, gradient, _ = differentiate(CODPO(beta=1.0, positive_weight=0.0), batch)
    assert objective.loss.item() == pytest.approx(1000.0)
    assert torch.equal(gradient.flatten(), torch.tensor([-1.0, 1.0], dtype=torch.float64))
    assert objective.metrics["pair_accuracy"] == 0.0


def test_the_reference_only_shifts_the_margin() -> None:
    # ρ− = +ln 3: margin −ln 3, pull 3/4
    batch = scored([Row((of(2.0), replace(of(1.0, satisfied=False), reference=(-1.0 - LN3,))))])
    _, gradient, _ = differentiate(CODPO(beta=1.0, positive_weight=0.0), batch)
    assert gradient.flatten().tolist() == pytest.approx([-0.75, 0.75], abs=1e-15)


@pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf])
def test_beta_must_be_positive(value: float) -> None:
    with pytest.raises(UserError, match=r"^CODPO\.beta"):
        CODPO(beta=value)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_the_positive_weight_must_not_be_negative(value: float) -> None:
    with pytest.raises(UserError, match=r"^CODPO\.positive_weight is .*at least 0$"):
        CODPO(positive_weight=value)


def test_it_needs_two_responses() -> None:
    assert CODPO(positive_weight=0.0).min_responses == 2
