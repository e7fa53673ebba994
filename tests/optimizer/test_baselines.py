"""The unconstrained baselines by hand."""

import math
from dataclasses import replace

import pytest
import torch
from tests.optimizer.batches import Response, Row, differentiate, scored, token_gradients

from cgpo.errors import UserError
from cgpo.optimizer import DPO, GRPO, RAFT, REINFORCE, RLOO, OnlineDPO
from cgpo.optimizer.base import ConstrainedOptimizer

LN2, LN3 = math.log(2.0), math.log(3.0)
BASELINES: list[ConstrainedOptimizer] = [REINFORCE(), RLOO(), GRPO(), RAFT(), OnlineDPO()]


def of(reward: float, logprob: float = -1.0, reference: float = -1.0, satisfied: bool = True) -> Response:
    return Response((logprob,), (reference,), reward, satisfied)


def gradients(optimizer: ConstrainedOptimizer, *rows: tuple[Response, ...]) -> list[list[list[float]]]:
    batch = scored([Row(row) for row in rows])
    return token_gradients(batch, differentiate(optimizer, batch)[1])


def test_reinforce_takes_the_batch_mean() -> None:
    # R = 3 − 0.5·1 = 2.5 and 1; mean 1.75, A = ±0.75; loss = −(0.75·−1 − 0.75·−2)/2 = −0.375
    batch = scored([Row((of(3.0, -1.0, -2.0),)), Row((of(1.0, -2.0, -2.0),))])
    objective, gradient, _ = differentiate(REINFORCE(beta=0.5), batch)
    assert token_gradients(batch, gradient) == [[[-0.375]], [[0.375]]]
    assert objective.loss.item() == pytest.approx(-0.375, abs=1e-15)
    assert objective.metrics == {"penalised_reward": 1.75}


def test_rloo_leaves_the_response_itself_out() -> None:
    # R = 2.5, 1, 4; means of the others 2.5, 3.25, 1.75; A = 0, −2.25, 2.25; over n = 3
    found = gradients(RLOO(beta=0.5), (of(3.0, -1.0, -2.0), of(1.0), of(4.0)))
    assert found == [[[0.0], [0.75], [-0.75]]]


def test_rloo_compares_within_a_prompt() -> None:
    # A = ∓1 and ∓10, over n = 4
    found = gradients(RLOO(beta=0.0), (of(1.0), of(2.0)), (of(-5.0), of(5.0)))
    assert found == [[[0.25], [-0.25]], [[2.5], [-2.5]]]


def test_grpo_divides_by_length_and_by_the_deviation() -> None:
    # A = ∓1/√2 (the deviation of 1 and 3 is √2), 2 responses of 2 and 1 tokens
    long = Response((-1.0, -1.0), (-1.0, -1.0), 1.0)
    found = gradients(GRPO(beta=0.0, epsilon=1e-12), (long, of(3.0)))
    step = 1 / math.sqrt(2)
    assert found[0][0] == pytest.approx([step / 4, step / 4], abs=1e-11)
    assert found[0][1] == pytest.approx([-step / 2], abs=1e-11)
    assert gradients(GRPO(beta=0.0, scale=False), (long, of(3.0))) == [[[0.25, 0.25], [-0.5]]]


def test_grpo_prices_the_divergence_of_each_token() -> None:
    # Equal rewards: only the KL term. ρ = ln 2: e^{−ρ} + ρ − 1 = ln 2 − 0.5, its derivative 1 − e^{−ρ} = 0.5
    batch = scored([Row((of(1.0, -1.0, -1.0 - LN2), of(1.0)))])
    objective, gradient, _ = differentiate(GRPO(beta=0.2), batch)
    assert gradient.squeeze(-1).tolist()[0] == pytest.approx([0.05, 0.0], abs=1e-15)
    assert objective.loss.item() == pytest.approx(0.1 * (LN2 - 0.5), abs=1e-15)
    assert objective.metrics == {"kl_estimate": pytest.approx((LN2 - 0.5) / 2), "clipped": 0.0}


def test_grpo_clips_a_gain_and_not_a_loss() -> None:
    # Both tokens are twice as likely as when they were drawn; A = +1 and −1: min(2, 1.2) is flat, min(−2, −1.2) is not
    moved = [Response((-1.0,), (-1.0,), reward, sampled=(-1.0 - LN2,)) for reward in (3.0, 1.0)]
    batch = scored([Row(tuple(moved))])
    objective, gradient, _ = differentiate(GRPO(beta=0.0, scale=False), batch)
    assert gradient.squeeze(-1).tolist()[0] == pytest.approx([0.0, 1.0], abs=1e-15)
    assert objective.loss.item() == pytest.approx(-(1.2 - 2.0) / 2, abs=1e-15)
    assert objective.metrics["clipped"] == 0.5


def test_raft_imitates_the_best() -> None:
    batch = scored([Row((of(-2.0), of(-1.0, -3.0))), Row((of(4.0), of(4.0)))])
    objective, gradient, _ = differentiate(RAFT(), batch)
    assert gradient.squeeze(-1).tolist() == [[0.0, -0.5], [-0.5, 0.0]]
    assert objective.loss.item() == 2.0
    assert objective.metrics == {"best_reward": 1.5}


@pytest.mark.parametrize(
    ("loss", "value", "slope"),
    [
        ("dpo", -math.log(0.75), 0.25),  # σ(ln 3) = 3/4
        ("ipo", (LN3 - 0.5) ** 2, -2 * (LN3 - 0.5)),
        ("slic", 0.0, 0.0),  # ln 3 > 1
    ],
)
def test_the_three_losses_of_a_margin(loss: str, value: float, slope: float) -> None:
    batch = scored([Row((of(1.0), of(0.0), of(2.0, -1.0, -1.0 - LN3)))])
    objective, gradient, _ = differentiate(OnlineDPO(beta=1.0, loss=loss), batch)
    assert objective.loss.item() == pytest.approx(value, abs=1e-15)
    assert gradient.squeeze(-1).tolist()[0] == pytest.approx([0.0, slope, -slope], abs=1e-15)
    assert objective.metrics == {"paired_prompts": 1.0, "pair_accuracy": 1.0}


def test_slic_pushes_within_its_margin() -> None:
    # margin 0.5·0 = 0 < 1: the slope of relu(1 − m) is −1, times β = 0.5
    assert gradients(OnlineDPO(beta=0.5, loss="slic"), (of(1.0), of(0.0))) == [[[-0.5], [0.5]]]


def test_offline_the_first_response_is_preferred_whatever_the_reward() -> None:
    # ρ = 0 and ln 3: the margin is −ln 3, σ(ln 3) = 3/4 is the pull
    batch = scored([Row((of(-5.0), of(9.0, -1.0, -1.0 - LN3)))])
    objective, gradient, _ = differentiate(DPO(beta=1.0), batch)
    assert objective.loss.item() == pytest.approx(math.log(4.0), abs=1e-15)
    assert gradient.squeeze(-1).tolist()[0] == pytest.approx([-0.75, 0.75], abs=1e-15)
    assert objective.metrics == {"paired_prompts": 1.0, "pair_accuracy": 0.0}
    with pytest.raises(ValueError, match="DPO takes pairs, not 3 responses"):
        DPO()(scored([Row((of(1.0),) * 3)]))


def test_equal_responses_make_no_pair() -> None:
    same = replace(of(1.0), identity=0)
    objective, gradient, _ = differentiate(OnlineDPO(), scored([Row((same, same)), Row((of(1.0), of(0.0)))]))
    assert gradient.squeeze(-1).tolist() == [[0.0, 0.0], pytest.approx([-0.025, 0.025])]
    assert objective.metrics["paired_prompts"] == 0.5


@pytest.mark.parametrize("optimizer", BASELINES, ids=lambda o: type(o).__name__)
def test_verdicts_and_padding_change_nothing(optimizer: ConstrainedOptimizer) -> None:
    row = Row((Response((-1.0, -0.5), (-1.5, -0.25), 2.0), of(1.0, -2.0), of(-1.0)))
    violated = Row(tuple(replace(r, satisfied=False, decided=False) for r in row.responses))
    objective, gradient, _ = differentiate(optimizer, scored([row]))
    for other in (scored([violated]), scored([row], padding=2, garbage=math.nan)):
        again, same, _ = differentiate(optimizer, other)
        assert again.loss.item() == objective.loss.item()
        assert torch.equal(same[..., : gradient.shape[-1]], gradient)
        assert (same[..., gradient.shape[-1] :] == 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: REINFORCE(beta=-1), "REINFORCE.beta is -1"),
        (lambda: RLOO(beta=math.nan), "RLOO.beta is nan"),
        (lambda: GRPO(clip=0), "GRPO.clip is 0"),
        (lambda: OnlineDPO(beta=0), "OnlineDPO.beta is 0"),
        (lambda: DPO(beta=-1), "DPO.beta is -1"),
        (lambda: OnlineDPO(loss="hinge"), "OnlineDPO.loss is 'hinge': it must be dpo, ipo or slic"),
    ],
)
def test_hyper_parameters_are_checked(build: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()  # pyright: ignore[reportCallIssue]
