"""Multipliers by hand."""

from dataclasses import replace

import pytest
import torch
from tests.optimizer.batches import Response, Row, differentiate, scored

from cgpo.errors import UserError
from cgpo.optimizer import PPO, REINFORCE, Lagrangian
from cgpo.types import TrainingBatch


def batch(*violated: bool, judge: str = "code") -> TrainingBatch:
    rows = [Row(tuple(Response((-1.0,), (-1.0,), float(2 * k)) for k in range(len(violated))))]
    return replace(scored(rows), violated={judge: torch.tensor([violated])})


def test_a_multiplier_grows_with_the_excess_and_prices_the_next_batch() -> None:
    # Rate 1/2 against 0.1: λ = 0 + 0.5·0.4 = 0.2, then 0.4
    optimizer = Lagrangian(REINFORCE(beta=0.0), learning_rate=0.5, limit=0.1)
    first, gradient, _ = differentiate(optimizer, batch(False, True))
    # Priced at λ = 0: rewards 0 and 2, mean 1, over 2
    assert gradient.flatten().tolist() == [0.5, -0.5]
    assert first.metrics["multiplier/code"] == pytest.approx(0.2)
    second, gradient, _ = differentiate(optimizer, batch(False, True))
    # λ = 0.2: rewards 0 and 1.8, over 1.2: 0 and 1.5; mean 0.75
    assert gradient.flatten().tolist() == pytest.approx([0.375, -0.375])
    assert second.metrics["penalised_reward"] == pytest.approx(0.75)
    assert second.metrics["multiplier/code"] == pytest.approx(0.4)


def test_a_multiplier_falls_to_zero_and_no_further() -> None:
    optimizer = Lagrangian(REINFORCE(), learning_rate=1.0, limit=0.5, initial=0.75)
    assert [optimizer(batch(False, False)).metrics["multiplier/code"] for _ in range(3)] == [0.25, 0.0, 0.0]


def test_each_judge_has_its_own() -> None:
    optimizer = Lagrangian(REINFORCE(), learning_rate=1.0, limit=0.0)
    both = replace(
        batch(True, True), violated={"code": torch.tensor([[True, True]]), "math": torch.tensor([[False, True]])}
    )
    optimizer(both)
    assert optimizer.multipliers == {"code": 1.0, "math": 0.5}


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
