"""PPO by hand."""

import math
from dataclasses import replace

import pytest
import torch
from tests.optimizer.batches import Response, Row, scored
from torch import Tensor

from cgpo.errors import UserError
from cgpo.optimizer import PPO
from cgpo.optimizer.ppo import generalised_advantages
from cgpo.types import Objective, TrainingBatch

LN2 = math.log(2.0)


def batch_of(*responses: Response, values: list[list[float]], old: list[list[float]] | None = None) -> TrainingBatch:
    batch = scored([Row(responses)])
    now = torch.tensor([values], dtype=torch.float64)
    then = now if old is None else torch.tensor([old], dtype=torch.float64)
    return replace(batch, values=now, sampled_values=then)


def differentiate(optimizer: PPO, batch: TrainingBatch) -> tuple[Objective, Tensor, Tensor]:
    assert batch.values is not None
    logprobs, values = batch.logprobs.clone().requires_grad_(), batch.values.clone().requires_grad_()
    objective = optimizer(replace(batch, logprobs=logprobs, values=values))
    return (objective, *torch.autograd.grad(objective.loss, [logprobs, values]))


def test_advantages_by_hand() -> None:
    # γ = 0.5, λ = 0.5; r = 1, 2, 4; V = 1, 2, 3
    # δ_3 = 4 − 3 = 1; δ_2 = 2 + 1.5 − 2 = 1.5; δ_1 = 1 + 1 − 1 = 1; Â = 1 + 0.25·1.75, 1.5 + 0.25·1, 1
    reward, value = torch.tensor([[1.0, 2.0, 4.0, 0.0]]), torch.tensor([[1.0, 2.0, 3.0, 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert generalised_advantages(reward, value, mask, 0.5, 0.5).tolist() == [[1.4375, 1.75, 1.0, 0.0]]


def test_the_reward_falls_to_the_last_token_and_the_divergence_to_each() -> None:
    # β = 1: prices −(−1 + 2) = −1 and −(−1 + 1) = 0; with γ = λ = 1 and V = 0: Â = 3 − 1, 3; two tokens
    batch = batch_of(Response((-1.0, -1.0), (-2.0, -1.0), 3.0), values=[[0.0, 0.0]])
    ppo = PPO(beta=1.0, gae_lambda=1.0, whiten=False, value_weight=0.5)
    objective, logprobs, values = differentiate(ppo, batch)
    assert logprobs.tolist() == [[[-1.0, -1.5]]]
    # ½·mean((0 − 2)², (0 − 3)²) = 3.25; its derivative by V: −2/2 and −3/2, times 0.5
    assert values.tolist() == [[[-0.5, -0.75]]]
    assert objective.loss.item() == pytest.approx(-2.5 + 0.5 * 3.25)
    assert objective.metrics["value_loss"] == pytest.approx(3.25)


def test_shorter_responses_end_at_their_own_last_token() -> None:
    batch = batch_of(
        Response((-1.0, -1.0), (-1.0, -1.0), 1.0), Response((-1.0,), (-1.0,), 4.0), values=[[0, 0], [0, 9]]
    )
    _, logprobs, values = differentiate(PPO(gae_lambda=1.0, whiten=False), batch)
    assert (-3 * logprobs).tolist() == [[[1.0, 1.0], [4.0, 0.0]]]
    assert values[0, 1, 1] == 0


def test_whitened_advantages_have_mean_zero_and_deviation_one() -> None:
    batch = batch_of(Response((-1.0,), (-1.0,), 1.0), Response((-1.0,), (-1.0,), 5.0), values=[[0.0], [0.0]])
    _, logprobs, _ = differentiate(PPO(), batch)
    assert logprobs.flatten().tolist() == pytest.approx([0.5, -0.5], abs=1e-8)


def test_the_policy_is_clipped_where_it_gains() -> None:
    moved = [Response((-1.0,), (-1.0 - LN2,), reward, sampled=(-1.0 - LN2,)) for reward in (2.0, -2.0)]
    objective, logprobs, _ = differentiate(PPO(whiten=False), batch_of(*moved, values=[[0.0], [0.0]]))
    # w = 2: min(4, 2.4) is flat; min(−4, −2.4) = −4 is not: 4/2 tokens
    assert logprobs.flatten().tolist() == pytest.approx([0.0, 2.0], abs=1e-12)
    assert objective.metrics["clipped"] == 0.5


def test_the_value_is_clipped_where_it_comes_too_close() -> None:
    # V_old = 0, R = V_old + Â = 1: V = 0.5 is beyond 0.2, the loss is that of 0.2, flat; V = −0.5 is farther: not flat
    response = Response((-1.0,), (-1.0,), 1.0)
    batch = batch_of(response, response, values=[[0.5], [-0.5]], old=[[0.0], [0.0]])
    objective, _, values = differentiate(PPO(whiten=False, value_weight=1.0), batch)
    assert values.flatten().tolist() == pytest.approx([0.0, -0.75], abs=1e-12)
    assert objective.metrics["value_loss"] == pytest.approx(0.5 * (0.64 + 2.25) / 2)


def test_explained_variance() -> None:
    # Returns 1 and 3 (λ = 1, V is only in the baseline): values 1 and 3 explain all, 2 and 2 nothing
    pair = [Response((-1.0,), (-1.0,), reward) for reward in (1.0, 3.0)]
    ppo = PPO(gae_lambda=1.0)
    assert differentiate(ppo, batch_of(*pair, values=[[1.0], [3.0]]))[0].metrics["explained_variance"] == 1.0
    assert differentiate(ppo, batch_of(*pair, values=[[2.0], [2.0]]))[0].metrics["explained_variance"] == 0.0


def test_padding_changes_nothing() -> None:
    rows = [Row((Response((-1.0, -2.0), (-1.5, -1.0), 2.0), Response((-1.0,), (-2.0,), -1.0)))]
    plain, padded = scored(rows), scored(rows, padding=2, garbage=math.nan)
    values = torch.tensor([[[0.5, 1.0, math.nan, math.nan], [0.25, math.nan, math.nan, math.nan]]], dtype=torch.float64)
    short = values[..., :2].nan_to_num(7.0)
    wanted, *gradients = differentiate(PPO(), replace(plain, values=short, sampled_values=short))
    found, *again = differentiate(PPO(), replace(padded, values=values, sampled_values=values))
    assert found.loss.item() == wanted.loss.item()
    for gradient, same in zip(gradients, again, strict=True):
        torch.testing.assert_close(same[..., :2], gradient, rtol=0, atol=1e-14)
        assert (same[..., 2:] == 0).all()


def test_an_update_without_a_critic_is_refused() -> None:
    with pytest.raises(ValueError, match="PPO needs values"):
        PPO()(scored([Row((Response((-1.0,), (-1.0,), 1.0),))]))


@pytest.mark.parametrize("name", ["gamma", "gae_lambda", "clip", "value_clip", "value_weight"])
def test_hyper_parameters_are_checked(name: str) -> None:
    with pytest.raises(UserError, match=f"PPO.{name} is 0"):
        PPO(**{name: 0})
