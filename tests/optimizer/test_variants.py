"""Variants of an optimizer that change one decision, and what is refused because it is no optimizer."""

from dataclasses import dataclass

import pytest
import torch
from tests.optimizer.batches import Response, Row, differentiate, scored
from tests.tasks.fakes import expert
from torch import Tensor

from cgpo.errors import UserError
from cgpo.optimizer import CODPO, CRPG, CRRAFT, RAFT, Choice, ConstrainedOptimizer, Lagrangian, Pair
from cgpo.optimizer.calibration import calibrated_reward
from cgpo.tensors import first_argmax, first_argmin
from cgpo.types import Objective, TrainingBatch


class UnregularisedCRPG(CRPG):
    """CRPG whose responses keep their calibrated reward however far they are from the reference."""

    def earned(self, batch: TrainingBatch) -> Tensor:
        return calibrated_reward(batch.reward, batch.baseline.reward).masked_fill(~batch.satisfied, 0.0)


@dataclass(frozen=True)
class Penalised(CRPG):
    """CRPG whose violated responses lose something instead of earning nothing."""

    penalty: float = 0.5

    def earned(self, batch: TrainingBatch) -> Tensor:
        return torch.where(batch.satisfied, super().earned(batch), -self.penalty)


def test_a_variant_of_crpg_says_what_a_response_earns() -> None:
    # r = ā, so calibrated 1/2; ρ = 6 > KL_max, so CRPG gives nothing: earned 0.5 and 0.5, advantages 0
    far = Response((-1.0,), (-7.0,), 0.0)
    near = Response((-1.0,), (-1.0,), 0.0)
    batch = scored([Row((near, far))])
    assert differentiate(CRPG(4.0), batch)[1].flatten().tolist() == [-0.125, 0.125]
    objective, gradient, _ = differentiate(UnregularisedCRPG(4.0), batch)
    assert gradient.flatten().tolist() == [0.0, 0.0]
    assert objective.metrics == {"regularised_reward": 0.5, "beyond_kl_max": 0.5}


def test_a_variant_may_have_hyper_parameters_of_its_own() -> None:
    # earned 0.5 and −0.5: mean 0, advantages ±0.5, derivatives ∓0.25
    batch = scored([Row((Response((-1.0,), (-1.0,), 0.0), Response((-1.0,), (-1.0,), 0.0, satisfied=False)))])
    _, gradient, _ = differentiate(Penalised(4.0, penalty=0.5), batch)
    assert gradient.flatten().tolist() == [-0.25, 0.25]


class WorstFirstCODPO(CODPO):
    """CODPO against the violated response of the highest reward, the most tempting one."""

    def choose(self, batch: TrainingBatch) -> Pair:
        violated = ~batch.satisfied & batch.decided
        pair = super().choose(batch)
        return Pair(pair.better, first_argmax(batch.reward, violated), pair.exists & violated.any(-1))


class LeastCRRAFT(CRRAFT):
    """CRRAFT on the permitted response of the lowest reward."""

    def choose(self, batch: TrainingBatch) -> Choice:
        return Choice(first_argmin(batch.reward, batch.satisfied), batch.satisfied.any(-1))


class SatisfiedRAFT(RAFT):
    """RAFT on satisfied responses alone."""

    def choose(self, batch: TrainingBatch) -> Choice:
        return Choice(first_argmax(batch.reward, batch.satisfied), batch.satisfied.any(-1))


def one(reward: float, satisfied: bool = True) -> Response:
    return Response((-1.0,), (-1.0,), reward, satisfied)


def test_variants_choose_other_responses() -> None:
    batch = scored([Row((one(0.0), one(5.0), one(2.0, False), one(9.0, False)))])
    # β/2 on the pair (5, 9): index 1 against index 3
    _, gradient, _ = differentiate(WorstFirstCODPO(beta=0.5, positive_weight=0.0), batch)
    assert gradient.flatten().tolist() == [0.0, -0.25, 0.0, 0.25]
    # The calibrated reward of index 0 is 1/2
    _, gradient, _ = differentiate(LeastCRRAFT(4.0), batch)
    assert gradient.flatten().tolist() == [-0.5, 0.0, 0.0, 0.0]
    objective, gradient, _ = differentiate(SatisfiedRAFT(), batch)
    assert gradient.flatten().tolist() == [0.0, -1.0, 0.0, 0.0]
    assert objective.metrics == {"best_reward": 5.0}


def test_a_prompt_without_a_choice_contributes_nothing_and_stays_attached() -> None:
    batch = scored([Row((one(1.0, False), one(2.0, False)))])
    for optimizer in (WorstFirstCODPO(), LeastCRRAFT(4.0), SatisfiedRAFT()):
        objective, gradient, _ = differentiate(optimizer, batch)
        assert objective.loss.requires_grad
        assert (gradient == 0.0).all()
    assert differentiate(SatisfiedRAFT(), batch)[0].metrics == {"best_reward": 0.0}


def duck(batch: TrainingBatch) -> Objective:
    raise AssertionError


def test_an_optimizer_has_defaults_and_what_is_none_is_refused() -> None:
    class Nothing(ConstrainedOptimizer):
        def __call__(self, batch: TrainingBatch) -> Objective:
            return Objective(batch.logprobs.sum() * 0.0, {})

    optimizer = Nothing()
    assert (optimizer.uses_baseline_logprobs, optimizer.uses_values, optimizer.min_responses) == (False, False, 1)
    assert optimizer.initial_state() == {}
    objective, state = optimizer.advance(scored([Row((one(1.0),))]), {})
    assert (objective.loss.item(), state) == (0.0, {})
    with pytest.raises(UserError, match=r"^tasks.chat.optimizer: builtins.function is not an optimizer; subclass cgpo"):
        expert(optimizer=duck)
    with pytest.raises(UserError, match=r"^Lagrangian.optimizer: CRPG is the class of an optimizer; call it, CRPG"):
        Lagrangian(CRPG)  # pyright: ignore[reportArgumentType]
