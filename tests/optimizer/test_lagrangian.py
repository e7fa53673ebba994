"""Multipliers by hand."""

from dataclasses import replace

import pytest
import torch
from tests.optimizer.batches import Response, Row, differentiate_in, scored

from cgpo.errors import UserError
from cgpo.optimizer import PPO, REINFORCE, Lagrangian
from cgpo.types import TrainingBatch


def batch(*violated: bool, judge: str = "code") -> TrainingBatch:
    rows = [Row(tuple(Response((-1.0,), (-1.0,), float(2 * k)) for k in range(len(violated))))]
    return replace(scored(rows), violated={judge: torch.tensor([violated])})


def test_a_multiplier_grows_with_the_excess_and_prices_the_next_batch() -> None:
    # Rate 1/2 against 0.1: λ = 0 + 0.5·0.4 = 0.2, then 0.4
    optimizer = Lagrangian(REINFORCE(beta=0.0), learning_rate=0.5, limit=0.1)
    first, gradient, _, state = differentiate_in(optimizer, batch(False, True), optimizer.initial_state())
    # Priced at λ = 0: rewards 0 and 2, mean 1, over 2
    assert gradient.flatten().tolist() == [0.5, -0.5]
    assert first.metrics["multiplier/code"] == pytest.approx(0.2)
    second, gradient, _, _ = differentiate_in(optimizer, batch(False, True), state)
    # λ = 0.2: rewards 0 and 1.8, over 1.2: 0 and 1.5; mean 0.75
    assert gradient.flatten().tolist() == pytest.approx([0.375, -0.375])
    assert second.metrics["penalised_reward"] == pytest.approx(0.75)
    assert second.metrics["multiplier/code"] == pytest.approx(0.4)


def test_a_multiplier_falls_to_zero_and_no_further() -> None:
    optimizer = Lagrangian(REINFORCE(), learning_rate=1.0, limit=0.5, initial=0.75)
    state, found = optimizer.initial_state(), []
    for _ in range(3):
        objective, state = optimizer.advance(batch(False, False), state)
        found.append(objective.metrics["multiplier/code"])
    assert found == [0.25, 0.0, 0.0]


def test_each_judge_has_its_own() -> None:
    optimizer = Lagrangian(REINFORCE(), learning_rate=1.0, limit=0.0)
    both = replace(
        batch(True, True), violated={"code": torch.tensor([[True, True]]), "math": torch.tensor([[False, True]])}
    )
    _, state = optimizer.advance(both, optimizer.initial_state())
    assert state == {"multipliers": {"code": 1.0, "math": 0.5}, "inner": {}}


def test_a_state_goes_in_and_another_comes_out() -> None:
    optimizer = Lagrangian(Lagrangian(REINFORCE(), learning_rate=2.0, limit=0.5), learning_rate=1.0, limit=0.0)
    before = optimizer.initial_state()
    first, after = optimizer.advance(batch(True, True), before)
    assert before == {"multipliers": {}, "inner": {"multipliers": {}, "inner": {}}}
    assert after == {"multipliers": {"code": 1.0}, "inner": {"multipliers": {"code": 1.0}, "inner": {}}}
    again, same = optimizer.advance(batch(True, True), before)
    assert (again.metrics, same) == (first.metrics, after)
    assert optimizer(batch(True, True)).metrics == first.metrics, "called, it is in its initial state"


def test_it_needs_what_the_optimizer_inside_needs() -> None:
    assert (Lagrangian(PPO()).uses_values, Lagrangian(PPO()).min_responses) == (True, 1)
    assert not Lagrangian(REINFORCE()).uses_values


def test_verdicts_move_with_the_batch() -> None:
    moved = batch(True, False).to(torch.float32)
    assert moved.violated["code"].dtype == torch.bool
    assert moved.reward.dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"limit": 1.0}, "limit is 1.0"),
        ({"initial": -1}, "initial is -1"),
    ],
)
def test_hyper_parameters_are_checked(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=f"Lagrangian.{message}"):
        Lagrangian(REINFORCE(), **settings)
