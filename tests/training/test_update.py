"""The two-part backward pass against one plain backward pass through the objective."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tests.policy.tiny import EOS, prompt, tiny_policy
from tests.tasks.fakes import WordReward, expert
from torch import Tensor
from torch.nn.functional import pad

from cgpo.optimizer import CODPO, CRPG, CRRAFT
from cgpo.optimizer.base import ConstrainedOptimizer
from cgpo.policy.causal import CausalPolicy
from cgpo.policy.logprobs import baseline_responses, response_logprobs, rollout_responses
from cgpo.rollout import DecodingSampler
from cgpo.tasks.baseline_responses import BaselineResponse
from cgpo.tasks.expert import Expert
from cgpo.training.update import ConstrainedUpdate, UpdateInputs
from cgpo.types import Prompt, Rollout, TrainingBatch, Verdicts

PROMPTS = [prompt(5, 6, 7, 8), prompt(9), prompt(10, 11)]
OPTIMIZERS = pytest.mark.parametrize(
    "optimizer", [CRPG(20.0), CODPO(0.3, 0.2), CRRAFT(20.0)], ids=lambda o: type(o).__name__
)
BASELINES = [
    BaselineResponse("w20 w21", 0.3, True),
    BaselineResponse("w22 w23 w24 w25 w26", 0.1, True),
    BaselineResponse("w27", 0.2, False),
]
TEXTS = [baseline.text for baseline in BASELINES]


def gradient(policy: CausalPolicy) -> Tensor:
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in policy.model.parameters()])


def assert_same(found: Tensor, wanted: Tensor) -> None:
    assert wanted.norm() > 1e-3, "a gradient of nothing proves nothing"
    assert (found - wanted).norm() <= 1e-12 * wanted.norm()


class Batch:
    """A task's batch: three prompts, four responses each; the second prompt's are all violated, one is undecided."""

    def __init__(
        self, optimizer: ConstrainedOptimizer, weight: float = 1.0, prompts: Sequence[Prompt] = PROMPTS
    ) -> None:
        self.policy, self.reference = tiny_policy(0), tiny_policy(1).frozen_copy()
        self.expert: Expert = expert(optimizer=optimizer, responses_per_prompt=4, weight=weight)
        self.rollout = DecodingSampler(7, 1.4).sample(self.policy, prompts, 4, seed=2)
        self.reward = WordReward(0.02).score(self.rollout.samples).double()
        flags = [True, False, True, True, *[False] * 4, True, True, True, False]
        decided = torch.ones(12, dtype=torch.bool)
        decided[2] = False
        self.verdicts = Verdicts({}, torch.tensor(flags), decided, {})

    def training_batch(self, update: ConstrainedUpdate, rollout: Rollout | None = None) -> TrainingBatch:
        rollout = rollout or self.rollout
        inputs = self.inputs(update, rollout)
        forward = update.forward(self.policy, self.reference, rollout, inputs)
        return update.score(rollout, inputs, forward, self.reward, self.verdicts, BASELINES)

    def inputs(self, update: ConstrainedUpdate, rollout: Rollout | None = None) -> UpdateInputs:
        return update.inputs(self.policy, self.expert, rollout or self.rollout, TEXTS)

    def found(self, update: ConstrainedUpdate, rollout: Rollout | None = None) -> Tensor:
        """The gradient by the update under test."""
        rollout = rollout or self.rollout
        self.policy.model.zero_grad()
        inputs, training_batch = self.inputs(update, rollout), self.training_batch(update, rollout)
        objective, _ = update.backward(self.policy, self.expert, inputs, training_batch, {}, Tensor.backward)
        assert not objective.loss.requires_grad
        return gradient(self.policy)

    def wanted(self) -> Tensor:
        """The gradient of `ρ_l` times the objective, through one forward pass of everything."""
        self.policy.model.zero_grad()
        training_batch = self.training_batch(ConstrainedUpdate())
        responses = rollout_responses(self.rollout)
        ends = baseline_responses(self.policy, self.rollout, TEXTS)
        own, fallback = (
            response_logprobs(self.policy.model, r.prompt_ids, r.ids, r.mask, self.rollout.temperature, 0)
            for r in (responses, ends)
        )
        baseline = replace(training_batch.baseline, logprobs=fallback, response_mask=ends.mask)
        objective = self.expert.optimizer(replace(training_batch, logprobs=own.view(3, 4, -1), baseline=baseline))
        (self.expert.weight * objective.loss).backward()
        return gradient(self.policy)


@OPTIMIZERS
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("max_tokens", [1, 12, 30, 70, 100_000])
def test_micro_batches_change_nothing(optimizer: ConstrainedOptimizer, max_tokens: int, recompute: bool) -> None:
    batch = Batch(optimizer)
    assert_same(batch.found(ConstrainedUpdate(max_tokens, recompute)), batch.wanted())


@OPTIMIZERS
def test_the_budgets_of_this_test_cut_the_batch_differently(optimizer: ConstrainedOptimizer) -> None:
    batch = Batch(optimizer)
    counts = []
    for max_tokens in (1, 12, 30, 70, 100_000):
        backwards: list[Tensor] = []
        training_batch = batch.training_batch(ConstrainedUpdate(max_tokens))
        update = ConstrainedUpdate(max_tokens)
        update.backward(batch.policy, batch.expert, batch.inputs(update), training_batch, {}, backwards.append)
        counts.append(len(backwards))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    assert counts[-1] == (2 if isinstance(optimizer, CRRAFT) else 1), "CRRAFT has the baseline responses besides"


@OPTIMIZERS
@pytest.mark.parametrize("extra", [1, 5])
def test_padding_changes_nothing(optimizer: ConstrainedOptimizer, extra: int) -> None:
    batch = Batch(optimizer)
    rollout = batch.rollout
    wider = replace(
        rollout,
        response_ids=pad(rollout.response_ids, (0, extra), value=31),
        response_mask=pad(rollout.response_mask, (0, extra), value=False),
        logprobs=pad(rollout.logprobs, (0, extra), value=float("nan")),
    )
    assert_same(batch.found(ConstrainedUpdate(30), wider), batch.wanted())


@OPTIMIZERS
def test_the_weight_of_the_task_scales_its_gradient(optimizer: ConstrainedOptimizer) -> None:
    plain, weighted = Batch(optimizer), Batch(optimizer, weight=3.0)
    assert_same(weighted.found(ConstrainedUpdate(30)), 3.0 * plain.found(ConstrainedUpdate(30)))


@OPTIMIZERS
def test_gradients_are_added(optimizer: ConstrainedOptimizer) -> None:
    batch = Batch(optimizer)
    update = ConstrainedUpdate(30)
    once = batch.found(update)
    training_batch = batch.training_batch(update)
    update.backward(batch.policy, batch.expert, batch.inputs(update), training_batch, {}, Tensor.backward)
    assert_same(gradient(batch.policy), 2 * once)


def test_a_fallback_teaches_the_baseline_response() -> None:
    """Nothing but the baselines of the first two prompts is left: 0.5 / 3 times their log-likelihoods' gradient."""
    batch = Batch(CRRAFT(20.0))
    batch.verdicts = replace(batch.verdicts, satisfied=torch.zeros(12, dtype=torch.bool))
    found = batch.found(ConstrainedUpdate(1))
    batch.policy.model.zero_grad()
    for start, response in (((5, 6, 7, 8), (20, 21, EOS)), ((9,), (22, 23, 24, 25, 26, EOS))):
        logits = batch.policy.model(input_ids=torch.tensor([[*start, *response]])).logits[0] / 1.4
        for i, token in enumerate(response):
            (-0.5 / 3 * logits[len(start) - 1 + i].log_softmax(0)[token]).backward(retain_graph=True)
    assert_same(found, gradient(batch.policy))


@pytest.mark.parametrize("optimizer", [CRPG(20.0), CODPO()], ids=lambda o: type(o).__name__)
def test_all_violated_runs_nothing_backward(optimizer: ConstrainedOptimizer) -> None:
    batch = Batch(optimizer)
    batch.verdicts = replace(batch.verdicts, satisfied=torch.zeros(12, dtype=torch.bool))
    assert torch.equal(batch.found(ConstrainedUpdate()), torch.zeros_like(gradient(batch.policy)))


def test_what_an_optimizer_sees() -> None:
    batch = Batch(CRRAFT(20.0))
    rollout = batch.rollout
    training_batch = batch.training_batch(ConstrainedUpdate())
    responses = rollout_responses(rollout)
    with torch.no_grad():
        of_reference = response_logprobs(
            batch.reference.model, responses.prompt_ids, responses.ids, responses.mask, 1.4, 0
        )
    torch.testing.assert_close(training_batch.reference_logprobs.view(12, -1), of_reference, rtol=1e-12, atol=1e-12)
    assert torch.equal(training_batch.logprobs.view(12, -1), rollout.logprobs)
    assert torch.equal(training_batch.reward.flatten(), batch.reward)
    assert torch.equal(training_batch.decided.flatten(), batch.verdicts.decided)
    assert training_batch.baseline.reward.tolist() == pytest.approx([0.3, 0.1, 0.2])
    assert training_batch.baseline.satisfied.tolist() == [True, True, False]
    assert training_batch.baseline.response_mask.sum(-1).tolist() == [3, 6, 2]
    recomputed = batch.training_batch(ConstrainedUpdate(recompute_logprobs=True))
    torch.testing.assert_close(recomputed.logprobs, training_batch.logprobs, rtol=1e-9, atol=1e-9)
    assert recomputed.logprobs is not training_batch.logprobs


def test_equal_tokens_are_one_response() -> None:
    batch = Batch(CODPO())
    ids = batch.rollout.response_ids.clone()
    mask = batch.rollout.response_mask.clone()
    for copy, original in ((3, 1), (10, 8), (4, 0)):
        ids[copy], mask[copy] = ids[original], mask[original]
    ids[3][~mask[3]] = 17
    rollout = replace(batch.rollout, response_ids=ids, response_mask=mask)
    identity = batch.training_batch(ConstrainedUpdate(), rollout).identity
    assert identity.tolist() == [[0, 1, 2, 1], [0, 1, 2, 3], [0, 1, 0, 3]]


def test_a_baseline_response_beyond_the_context_is_cut() -> None:
    policy = tiny_policy(max_position_embeddings=6)
    rollout = DecodingSampler(1).sample(policy, PROMPTS, 1, seed=0)
    found = baseline_responses(policy, rollout, TEXTS)
    assert found.mask.sum(-1).tolist() == [2, 5, 2]
    assert found.ids[0][found.mask[0]].tolist() == [20, 21]
    assert found.ids[2][found.mask[2]].tolist() == [27, EOS]
