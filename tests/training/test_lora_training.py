"""Training of adapters: what moves, and what stays to the last bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule
from tests.policy.adapted import adapted_policy, adapter_weights, base_weights
from tests.policy.tiny import PAD, prompt
from tests.tasks.fakes import expert
from tests.training.tiny_runs import adam, fit, module_of
from torch import Tensor

from cgpo.optimizer import CRPG, PPO
from cgpo.policy.causal import CausalPolicy
from cgpo.policy.logprobs import batched_logprobs
from cgpo.rollout import DecodingSampler
from cgpo.training.module import CGPOModule
from cgpo.training.observer import Observer
from cgpo.training.update import ConstrainedUpdate

STEPS = 200


def probe(policy: CausalPolicy) -> Tensor:
    """Log-probabilities of two given responses."""
    ids, mask = torch.tensor([[7, 8, 9], [20, 21, 1]]), torch.ones(2, 3, dtype=torch.bool)
    return batched_logprobs(policy.model, [[5, 9], [6, 10]], ids, mask, 1.0, PAD, 100)


class Interruptions(Observer):
    """Saves the policy and asks the reference on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[Tensor] = []

    def on_rollout(self, module: LightningModule, expert: Any, rollout: Any) -> None:
        assert isinstance(module, CGPOModule)
        if module.global_step % 50 == 0:
            module.policy.save(self.folder / str(module.global_step))
            self.asked.append(probe(module.reference))


def test_hundreds_of_steps_move_no_bit_of_the_base(tmp_path: Path) -> None:
    policy = adapted_policy(torch.float32, num_hidden_layers=1)
    base, adapters, first = base_weights(policy.model), adapter_weights(policy.model), probe(policy)
    task = expert(prompts=(prompt(5, 9, response="w4"),), batch_size=1, sampler=DecodingSampler(2, 1.3))
    module = module_of([task], policy, weight_optimizer=adam, clip_norm=1.0)
    interruptions = Interruptions(tmp_path)
    assert fit(module, STEPS, interruptions).global_step == STEPS

    assert len(interruptions.asked) == 4
    assert all(torch.equal(asked, first) for asked in [*interruptions.asked, probe(module.reference)])
    after = base_weights(policy.model)
    assert base.keys() == after.keys()
    assert all(torch.equal(base[name], after[name]) for name in base)
    moved = adapter_weights(policy.model)
    assert all((moved[name] - adapters[name]).norm() > 1e-3 for name in adapters)
    assert not torch.allclose(probe(policy), first, atol=0.1)
    saved = sorted(path.name for path in tmp_path.iterdir())
    assert saved == ["0", "100", "150", "50"]


def test_the_optimizer_holds_the_adapters_alone() -> None:
    policy = adapted_policy()
    module = module_of([expert()], policy, weight_optimizer=adam)
    fit(module, 1)
    optimizer: Any = module.trainer.optimizers[0]
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(w) for name, w in policy.model.named_parameters() if "lora_" in name}


@pytest.mark.parametrize("optimizer", [CRPG(kl_max=8.0), PPO()], ids=lambda o: type(o).__name__)
def test_a_step_of_adapters_leaves_the_base_also_where_there_is_a_critic(optimizer: Any) -> None:
    policy = adapted_policy()
    base, adapters = base_weights(policy.model), adapter_weights(policy.model)
    rate = 0.1 if isinstance(optimizer, PPO) else None
    task = expert(optimizer=optimizer, responses_per_prompt=4)
    module = module_of([task], policy, update=ConstrainedUpdate(40, critic_learning_rate=rate, epochs=2))
    critic = None if module.critic is None else module.critic.head.bias.item()
    fit(module, 2)
    assert all(torch.equal(weight, policy.model.state_dict()[name]) for name, weight in base.items())
    assert any(not torch.equal(weight, policy.model.state_dict()[name]) for name, weight in adapters.items())
    if isinstance(optimizer, PPO):
        assert module.critic is not None
        assert module.critic.head.bias.item() != critic
        assert all(weight.requires_grad for weight in module.critic.parameters())
        assert not any("lora" in name for name, _ in module.critic.named_parameters())


def test_the_step_does_not_depend_on_recomputed_activations() -> None:
    def stepped(recompute: bool) -> dict[str, Tensor]:
        policy = adapted_policy()
        if recompute:
            policy.model.gradient_checkpointing_enable()
            policy.model.train()
        fit(module_of([expert()], policy), 2)
        return adapter_weights(policy.model)

    plain, found = stepped(False), stepped(True)
    for name, weight in plain.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-10, atol=1e-12)
