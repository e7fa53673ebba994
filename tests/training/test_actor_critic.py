"""An objective with values, and several steps on one rollout."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import expert
from tests.training.test_update import Batch, assert_same
from tests.training.tiny_runs import RATE, fit, module_of, weights
from torch import Tensor

from cgpo.errors import UserError
from cgpo.optimizer import CRPG, GRPO, PPO
from cgpo.policy.critic import Critic
from cgpo.policy.logprobs import response_logprobs, rollout_responses
from cgpo.training.update import ConstrainedUpdate
from cgpo.types import Outcome, Verdict


def gradients(*models: torch.nn.Module) -> Tensor:
    parameters = [p for model in models for p in model.parameters()]
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def lively(update: ConstrainedUpdate, batch: Batch) -> Critic:
    """The update's critic, with a head that is not 0, so that its transformer gets a gradient too."""
    critic = update.attach(batch.policy)
    assert critic is not None
    with torch.no_grad():
        critic.head.weight.copy_(torch.linspace(-1, 1, critic.head.weight.numel(), dtype=torch.float64)[None])
    return critic


@pytest.mark.parametrize("max_tokens", [1, 30, 100_000])
def test_both_gradients_are_those_of_one_plain_backward_pass(max_tokens: int) -> None:
    batch = Batch(PPO(whiten=False), weight=2.0)
    update = ConstrainedUpdate(max_tokens, critic_learning_rate=0.1)
    critic = lively(update, batch)
    training_batch = batch.training_batch(update)
    update.backward(batch.policy, batch.expert, batch.inputs(update), training_batch, {}, Tensor.backward)
    found = gradients(batch.policy.model, critic)

    for model in (batch.policy.model, critic):
        model.zero_grad()
    responses = rollout_responses(batch.rollout)
    everything = (responses.prompt_ids, responses.ids, responses.mask)
    own = response_logprobs(batch.policy.model, *everything, batch.rollout.temperature, 0).view_as(
        training_batch.logprobs
    )
    values = critic(*everything, 0).view_as(training_batch.logprobs)
    (2.0 * batch.expert.optimizer(replace(training_batch, logprobs=own, values=values)).loss).backward()
    assert_same(found, gradients(batch.policy.model, critic))
    assert gradients(critic).norm() > 1e-3


def test_a_new_critic_finds_every_state_worth_nothing() -> None:
    batch = Batch(PPO())
    update = ConstrainedUpdate(critic_learning_rate=0.1)
    update.attach(batch.policy)
    training_batch = batch.training_batch(update)
    assert training_batch.values is not None
    assert (training_batch.values == 0).all()


def test_a_value_depends_on_what_stands_before_the_token_alone() -> None:
    batch = Batch(PPO())
    critic = lively(ConstrainedUpdate(critic_learning_rate=0.1), batch)
    ids, mask = torch.tensor([[20, 21, 22]]), torch.ones(1, 3, dtype=torch.bool)
    values = critic([[5, 6]], ids, mask, 0)
    changed = critic([[5, 6]], torch.tensor([[20, 21, 23]]), mask, 0)
    assert torch.equal(values, changed), "no value has seen the last token"
    assert not torch.equal(values[:, 1], critic([[5, 6]], torch.tensor([[24, 21, 22]]), mask, 0)[:, 1])
    assert torch.equal(values[:, 0], critic([[5, 6]], torch.tensor([[24, 21, 22]]), mask, 0)[:, 0])


def test_later_epochs_step_at_the_weights_of_then_and_count_as_one_update() -> None:
    def stepped(epochs: int) -> Tensor:
        task = expert(optimizer=GRPO(beta=0.0), responses_per_prompt=4, prompts=[prompt(5, 6, 7), prompt(9, 8)])
        module = module_of([task], tiny_policy(), update=ConstrainedUpdate(epochs=epochs), clip_norm=None)
        trainer = fit(module, 1)
        assert trainer.global_step == 1
        return weights(module)

    start = weights(module_of([expert()], tiny_policy()))
    first, second = stepped(1) - start, stepped(2) - stepped(1)
    assert first.norm() > 0
    assert second.norm() > 0
    assert not torch.allclose(first, second, rtol=1e-6), "the second gradient is taken at the new weights"


def test_the_critic_learns_at_its_own_rate_and_is_no_part_of_the_policy() -> None:
    task = expert(optimizer=PPO(), responses_per_prompt=4)
    update = ConstrainedUpdate(critic_learning_rate=0.5)
    module = module_of([task], tiny_policy(), update=update)
    assert module.critic is not None
    before = module.critic.head.bias.item()
    fit(module, 1)
    assert module.critic.head.bias.item() != before
    optimizer: Any = module.trainer.optimizers[0]
    of_policy, of_critic = (group["lr"] for group in optimizer.param_groups)
    assert of_critic / of_policy == pytest.approx(0.5 / RATE)
    assert not any("critic" in name for name, _ in module.model.named_parameters())


def test_an_objective_without_values_needs_no_critic() -> None:
    batch = Batch(CRPG(20.0))
    assert batch.training_batch(ConstrainedUpdate()).values is None
    assert ConstrainedUpdate().attach(batch.policy) is None


def test_settings_are_checked() -> None:
    with pytest.raises(UserError, match=r"update\.epochs is 0"):
        ConstrainedUpdate(epochs=0)


def test_an_objective_sees_which_judge_found_a_violation() -> None:
    batch = Batch(CRPG(20.0))
    outcomes = [Outcome.VIOLATED, Outcome.UNDECIDED, Outcome.SATISFIED, Outcome.NOT_APPLICABLE] * 3
    batch.verdicts = replace(batch.verdicts, by_judge={"math": tuple(Verdict(o, "") for o in outcomes)})
    assert batch.training_batch(ConstrainedUpdate()).violated["math"].tolist() == [[True, False, False, False]] * 3
