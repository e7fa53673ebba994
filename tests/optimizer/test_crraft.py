"""CRRAFT by hand. sigmoid(ln 3) = 3/4, sigmoid(0) = 1/2, sigmoid(−ln 3) = 1/4."""

import math
from dataclasses import replace

import pytest
from tests.optimizer.batches import Response, Row, differentiate, scored, token_gradients
from torch import Tensor

from cgpo.errors import UserError
from cgpo.optimizer import CRRAFT

LN3 = math.log(3.0)
OPTIMIZER = CRRAFT(kl_max=2.0)


def of(reward: float, satisfied: bool = True, ratio: float = 0.0, decided: bool = True) -> Response:
    return Response((-1.0,), (-1.0 - ratio,), reward, satisfied, decided)


def gradients(*rows: Row) -> tuple[float, list[list[float]], list[list[float]]]:
    """Loss, and the derivatives of one-token responses and of the baselines."""
    objective, gradient, baseline = differentiate(OPTIMIZER, scored(rows))
    assert isinstance(baseline, Tensor)
    return objective.loss.item(), gradient.squeeze(-1).tolist(), baseline.tolist()


def test_trains_on_the_best_permitted_response() -> None:
    # The 9 is violated, the 8 has ρ = 3 > 2; of 0 and ln 3 the latter is best: R_calib = 3/4 over n = 1
    loss, gradient, baseline = gradients(Row((of(9.0, False), of(8.0, ratio=3.0), of(0.0), of(LN3))))
    assert gradient[0] == pytest.approx([0.0, 0.0, 0.0, -0.75], abs=1e-15)
    assert loss == pytest.approx(0.75, abs=1e-15)
    assert baseline == [[0.0]]


def test_every_token_of_it_counts() -> None:
    # Three tokens of log-probabilities −1, −2, −3: loss = 0.5 · 6, each token −0.5
    batch = scored([Row((Response((-1.0, -2.0, -3.0), (-1.0, -2.0, -3.0), 0.0), of(-1.0)))])
    objective, gradient, _ = differentiate(OPTIMIZER, batch)
    assert token_gradients(batch, gradient) == [[[-0.5] * 3, [0.0]]]
    assert objective.loss.item() == 3.0


def test_the_mean_is_over_all_prompts_skipped_included() -> None:
    # 1/n with n = 3: 0.5 / 3, the skipped prompt 0, the fallback prompt 0.5 / 3 on its baseline's two tokens
    own = Row((of(0.0),))
    skipped = Row((of(1.0, False),))
    fallback = Row((of(1.0, False),), baseline_satisfied=True, baseline_logprobs=(-4.0, -2.0))
    loss, gradient, baseline = gradients(own, skipped, fallback)
    assert [row[0] for row in gradient] == pytest.approx([-1 / 6, 0.0, 0.0], abs=1e-15)
    assert baseline == [[0.0, 0.0], [0.0, 0.0], pytest.approx([-1 / 6, -1 / 6], abs=1e-15)]
    assert loss == pytest.approx((0.5 + 0.5 * 6) / 3, abs=1e-15)


def test_metrics() -> None:
    rows = [
        Row((of(0.0), of(9.0, ratio=5.0))),
        Row((of(1.0, False), of(1.0, False)), baseline_satisfied=True),
        Row((of(1.0, False), of(1.0, False))),
        Row((of(1.0), of(0.0))),
    ]
    objective, _, _ = differentiate(OPTIMIZER, scored(rows))
    assert objective.metrics == {"chosen_prompts": 0.5, "baseline_prompts": 0.25, "beyond_kl_max": 0.25}


def test_a_passing_baseline_is_only_a_last_resort() -> None:
    loss, gradient, baseline = gradients(Row((of(-5.0),), baseline_satisfied=True))
    weight = 1 / (1 + math.exp(5.0))
    assert gradient[0] == pytest.approx([-weight], abs=1e-15)
    assert baseline == [[0.0]]
    assert loss == pytest.approx(weight, abs=1e-15)


@pytest.mark.parametrize("passes", [True, False])
def test_all_violated(passes: bool) -> None:
    row = Row((of(1.0, False), of(2.0, False)), baseline_satisfied=passes, baseline_logprobs=(-4.0,))
    objective, gradient, baseline = differentiate(OPTIMIZER, scored([row]))
    assert objective.loss.requires_grad
    assert (gradient == 0.0).all()
    assert baseline is not None
    assert baseline.tolist() == [[-0.5 if passes else 0.0]]
    assert objective.loss.item() == (2.0 if passes else 0.0)


@pytest.mark.parametrize("passes", [True, False])
def test_all_beyond_the_kl_limit(passes: bool) -> None:
    row = Row((of(1.0, ratio=2.5), of(2.0, ratio=4.0)), baseline_satisfied=passes)
    loss, gradient, baseline = gradients(row)
    assert gradient == [[0.0, 0.0]]
    assert baseline == [[-0.5 if passes else 0.0]]
    assert loss == (0.5 if passes else 0.0)


def test_the_kl_limit_itself_is_permitted() -> None:
    _, gradient, _ = gradients(Row((of(LN3, ratio=2.0), of(0.0))))
    assert gradient[0] == pytest.approx([-0.75, 0.0], abs=1e-15)


def test_a_response_less_likely_than_before_gets_no_bonus() -> None:
    _, gradient, _ = gradients(Row((of(0.0, ratio=-50.0),)))
    assert gradient == [[-0.5]]


def test_negative_rewards_are_not_taken_for_masked_zeros() -> None:
    # r = −3 − ln 3 against ā = −3: 1/4
    _, gradient, _ = gradients(Row((of(1.0, False), of(-3.0 - LN3), of(-9.0)), baseline_reward=-3.0))
    assert gradient[0] == pytest.approx([0.0, -0.25, 0.0], abs=1e-15)


def test_ties_take_the_first() -> None:
    _, gradient, _ = gradients(Row((of(-1.0), of(0.0), of(0.0))))
    assert gradient == [[0.0, -0.5, 0.0]]


def test_one_response_a_prompt() -> None:
    loss, gradient, _ = gradients(Row((of(LN3),)), Row((of(-LN3),)))
    assert [g[0] for g in gradient] == pytest.approx([-0.375, -0.125], abs=1e-15)
    assert loss == pytest.approx(0.5, abs=1e-15)


def test_an_empty_response_can_be_best_and_teaches_nothing() -> None:
    batch = scored([Row((Response((), (), 3.0), of(1.0)), baseline_satisfied=True)])
    objective, gradient, baseline = differentiate(OPTIMIZER, batch)
    assert (gradient == 0.0).all()
    assert baseline is not None
    assert (baseline == 0.0).all()
    assert objective.metrics["chosen_prompts"] == 1.0


def test_undecided_responses_are_never_chosen() -> None:
    _, gradient, _ = gradients(Row((of(math.nan, decided=False), of(9.0, decided=False), of(0.0))))
    assert gradient == [[0.0, 0.0, -0.5]]
    _, gradient, baseline = gradients(Row((of(9.0, decided=False),), baseline_satisfied=True))
    assert gradient == [[0.0]]
    assert baseline == [[-0.5]]


def test_the_log_ratio_is_no_part_of_the_gradient() -> None:
    near, far = Row((of(0.0, ratio=1.0),)), Row((of(0.0, ratio=-1.0),))
    _, gradient, _ = gradients(near, far)
    assert gradient == [[-0.25], [-0.25]]


def test_masked_garbage_of_the_baseline_is_not_read() -> None:
    rows = [
        Row((of(1.0, False),), baseline_satisfied=True, baseline_logprobs=(-1.0,)),
        Row((of(1.0, False),), baseline_satisfied=True, baseline_logprobs=(-1.0, -1.0, -1.0)),
    ]
    objective, _, baseline = differentiate(OPTIMIZER, scored(rows, padding=2, garbage=math.nan))
    assert objective.loss.item() == pytest.approx((0.5 + 1.5) / 2)
    assert baseline is not None
    assert baseline.tolist() == [[-0.25, 0, 0, 0, 0], [-0.25, -0.25, -0.25, 0, 0]]


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_kl_max_must_be_a_positive_number(value: float) -> None:
    with pytest.raises(UserError, match=r"^CRRAFT\.kl_max"):
        CRRAFT(kl_max=value)


def test_baseline_shapes_are_checked() -> None:
    batch = scored([Row((of(0.0),)), Row((of(0.0),))])
    wrong = replace(batch, baseline=replace(batch.baseline, reward=batch.baseline.reward[:1]))
    with pytest.raises(ValueError, match=r"^baseline\.reward has shape \(1,\), expected \(2,\)"):
        OPTIMIZER(wrong)
