"""Adapters, and the reference that is the same model without them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.policy.adapted import LINEAR, SETTINGS, adapted_policy, adapter_weights, save_linear_conv, stir
from tests.policy.tiny import PAD, prompt, save_tiny, tiny_policy
from torch import Tensor

from cgpo.config import LoraConfig
from cgpo.errors import UserError
from cgpo.models import adapters
from cgpo.models.adapters import AdaptersDisabled, is_adapter_weight, lora_settings, merged_copy
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.policy.logprobs import response_logprobs
from cgpo.rollout import DecodingSampler

PROMPTS = [prompt(5, 6, 7), prompt(9), prompt(10, 11)]
IDS, MASK = torch.tensor([[7, 8, 9], [20, 21, 22]]), torch.ones(2, 3, dtype=torch.bool)


def logprobs(policy: CausalPolicy) -> Tensor:
    return response_logprobs(policy.model, [[5, 6], [9]], IDS, MASK, 1.0, PAD)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fresh_adapters_change_nothing_to_the_last_bit(tmp_path: Path, dtype: str) -> None:
    folder = str(save_tiny(tmp_path / "model"))
    plain, policy = load_policy(folder, dtype), load_policy(folder, dtype, lora=SETTINGS)
    reference = policy.frozen_copy()
    assert torch.equal(logprobs(policy), logprobs(reference))
    # Another model's weights may lie otherwise in memory, and be multiplied in another order.
    torch.testing.assert_close(logprobs(policy), logprobs(plain))
    drawn = [DecodingSampler(8).sample(p, PROMPTS, 4, 0) for p in (plain, policy, reference)]
    assert drawn[0].responses == drawn[1].responses == drawn[2].responses
    assert torch.equal(drawn[1].logprobs, drawn[2].logprobs)


def test_only_adapters_are_trained_and_in_no_half_precision(tmp_path: Path) -> None:
    folder = str(save_tiny(tmp_path / "model"))
    for dtype, wanted in (("float32", torch.float32), ("bfloat16", torch.float32)):
        model = load_policy(folder, dtype, lora=SETTINGS).model
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        # Two layers of seven matrices, each with an A and a B.
        assert len(trained) == 2 * 7 * 2
        assert all(is_adapter_weight(name) for name in trained)
        assert {weight.dtype for weight in trained.values()} == {wanted}
        base = {w.dtype for name, w in model.named_parameters() if not is_adapter_weight(name)}
        assert base == {getattr(torch, dtype)}
    ranks = {tuple(w.shape) for name, w in trained.items() if "q_proj" in name}
    assert ranks == {(3, 16), (16, 3)}


def test_adapters_add_their_scaled_product_to_the_matrix() -> None:
    policy = adapted_policy()
    stir(policy.model)
    layer: Any = policy.model.get_submodule("model.layers.0.self_attn.q_proj")
    x = torch.linspace(-1, 1, 16, dtype=torch.float64)
    low, high = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    # alpha / r = 6 / 3
    wanted = layer.base_layer.weight @ x + 2.0 * (high @ (low @ x))
    torch.testing.assert_close(layer(x), wanted, rtol=1e-12, atol=1e-12)


def test_the_reference_stays_what_the_policy_was() -> None:
    policy = adapted_policy()
    before = logprobs(policy).detach()
    reference = policy.frozen_copy()
    stir(policy.model)
    assert not torch.allclose(logprobs(policy), before, atol=0.1)
    assert torch.equal(logprobs(reference), before)
    drawn = DecodingSampler(8).sample(reference, PROMPTS, 4, 0)
    assert drawn.responses == DecodingSampler(8).sample(tiny_policy(), PROMPTS, 4, 0).responses
    assert drawn.responses != DecodingSampler(8).sample(policy, PROMPTS, 4, 0).responses


def test_the_reference_is_no_second_copy_and_registers_no_weights() -> None:
    policy = adapted_policy()
    reference = policy.frozen_copy().model
    assert isinstance(reference, AdaptersDisabled)
    assert reference.state_dict() == {}
    assert list(reference.children()) == []
    shared = {
        name.replace(".base_layer.", "."): w
        for name, w in policy.model.named_parameters()
        if not is_adapter_weight(name)
    }
    found = dict(reference.named_parameters())
    assert found.keys() == dict(tiny_policy().model.named_parameters()).keys()
    assert all(found[name] is shared[name] for name in found)
    assert not any(w.requires_grad for w in reference.parameters())
    assert next(reference.parameters()).dtype == torch.float64
    assert (reference.config, reference.generation_config) == (policy.model.config, policy.model.generation_config)
    assert (reference.dtype, reference.device) == (policy.model.dtype, policy.model.device)
    assert reference.get_input_embeddings() is policy.model.get_input_embeddings()
    torch.nn.Module.to(reference, torch.float32)
    assert policy.model.dtype == torch.float64


@pytest.mark.parametrize("training", [True, False])
def test_the_reference_leaves_mode_and_gradients_of_the_policy_alone(training: bool) -> None:
    policy = adapted_policy()
    reference = policy.frozen_copy()
    policy.model.train(training)
    # A module in a mode of its own keeps it.
    policy.model.get_submodule("model.layers.0.mlp").eval()
    modes = [module.training for module in policy.model.modules()]
    wanted = [weight.requires_grad for weight in policy.model.parameters()]
    DecodingSampler(4).sample(reference, PROMPTS, 2, 0)
    reference.model.train()
    assert not reference.model.training
    assert not logprobs(reference).requires_grad
    assert [module.training for module in policy.model.modules()] == modes
    assert [weight.requires_grad for weight in policy.model.parameters()] == wanted
    assert logprobs(policy).requires_grad


def test_a_call_of_the_reference_that_fails_leaves_the_adapters_on() -> None:
    policy = adapted_policy()
    stir(policy.model)
    before = logprobs(policy).detach()
    with pytest.raises(ValueError, match="input_ids"):
        policy.frozen_copy().model(input_ids=None)
    assert torch.equal(logprobs(policy), before)


def test_a_reference_call_between_forward_and_backward_changes_no_gradient() -> None:
    policy = adapted_policy()
    stir(policy.model)
    reference = policy.frozen_copy()
    found = []
    for between in (False, True):
        policy.model.zero_grad()
        loss = logprobs(policy).sum()
        if between:
            logprobs(reference)
        loss.backward()
        found.append({n: w.grad for n, w in policy.model.named_parameters() if w.requires_grad})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert all(grad.norm() > 1e-6 for grad in found[0].values())


def test_recomputed_activations_give_the_same_gradients_and_keep_the_references_cache(tmp_path: Path) -> None:
    folder = str(save_tiny(tmp_path / "model"))
    gradients, drawn = [], []
    for recompute in (False, True):
        policy = load_policy(folder, gradient_checkpointing=recompute, lora=SETTINGS)
        stir(policy.model)
        assert policy.model.training is recompute
        drawn += [DecodingSampler(8).sample(p, PROMPTS, 4, 0) for p in (policy, policy.frozen_copy())]
        logprobs(policy).sum().backward()
        gradients.append({n: w.grad for n, w in policy.model.named_parameters() if w.requires_grad})
    for name, plain in gradients[0].items():
        assert plain.norm() > 1e-6, name
        torch.testing.assert_close(gradients[1][name], plain)
    assert drawn[0].responses == drawn[2].responses
    assert drawn[1].responses == drawn[3].responses


def test_the_seed_and_nothing_else_decides_on_fresh_adapters(tmp_path: Path) -> None:
    folder = str(save_tiny(tmp_path / "model"))
    found = []
    for noise, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(noise)
        found.append(adapter_weights(load_policy(folder, lora={**SETTINGS, "seed": seed}).model))
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(noise)))
    same, other = (
        [torch.equal(found[0][name], found[i][name]) for name in found[0] if "lora_A" in name] for i in (1, 2)
    )
    assert all(same)
    assert not any(other)


def test_targets_by_name(tmp_path: Path) -> None:
    folder = str(save_tiny(tmp_path / "model"))
    model = load_policy(folder, lora={"r": 2, "targets": ["q_proj", "layers.1.mlp.up_proj"]}).model
    layers = {name.split(".lora_")[0] for name in adapter_weights(model)}
    assert layers == {f"model.layers.{i}.self_attn.q_proj" for i in (0, 1)} | {"model.layers.1.mlp.up_proj"}


def test_a_model_whose_matrices_lie_transposed(tmp_path: Path) -> None:
    policy = load_policy(str(save_linear_conv(tmp_path / "gpt2")), lora=SETTINGS)
    before = logprobs(policy).detach()
    stir(policy.model)
    assert not torch.allclose(logprobs(policy), before, atol=0.1)
    assert torch.equal(logprobs(policy.frozen_copy()), before)


def test_a_copy_of_the_base_has_the_adapters_in_its_weights_and_all_of_them_trained() -> None:
    policy = adapted_policy()
    stir(policy.model)
    copy: Any = merged_copy(policy.model.base_model)
    assert {n for n, _ in copy.named_parameters()} == {n for n, _ in tiny_policy().model.base_model.named_parameters()}
    assert all(weight.requires_grad for weight in copy.parameters())
    x = torch.tensor([[5, 6, 7]])
    wanted = policy.model.base_model(x).last_hidden_state
    torch.testing.assert_close(copy(x).last_hidden_state, wanted, rtol=1e-10, atol=1e-10)
    assert len(adapter_weights(policy.model)) == 28, "the model itself keeps its adapters"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"r": 0}, "model.lora.r is 0: it must be a whole number of at least 1"),
        ({"r": 2.5}, "model.lora.r is 2.5: it must be a whole number of at least 1"),
        ({"r": True}, "model.lora.r is True: it must be a whole number of at least 1"),
        ({"alpha": 0}, "model.lora.alpha is 0: it must be a number above 0"),
        ({"alpha": float("nan")}, "model.lora.alpha is nan: it must be a number above 0"),
        ({"alpha": "x"}, "model.lora.alpha is 'x': it must be a number above 0"),
        ({"seed": -1}, "model.lora.seed is -1: it must be a whole number of at least 0"),
        ({"targets": []}, "model.lora.targets is []: it must be all-linear, or a list of names"),
        ({"targets": [1]}, "model.lora.targets is [1]: it must be all-linear, or a list of texts"),
        ({"rank": 4}, "model.lora.rank: there is no such key; choose alpha, dropout, r, seed, targets"),
        (16, "model.lora is 16: it must be a mapping with the keys r, alpha, dropout, targets, seed"),
    ],
)
def test_settings_out_of_range(given: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        lora_settings(given)
    assert str(caught.value) == message


def test_dropout_is_refused() -> None:
    assert lora_settings({"dropout": 0}) == LoraConfig()
    with pytest.raises(UserError, match=r"model\.lora\.dropout is 0\.1: it must be 0, since"):
        lora_settings({"dropout": 0.1})


@pytest.mark.parametrize("target", ["qproj", "lm_head", "embed_tokens", "proj"])
def test_a_target_that_is_no_linear_layer(tmp_path: Path, target: str) -> None:
    folder = str(save_tiny(tmp_path / "model"))
    with pytest.raises(UserError) as caught:
        load_policy(folder, lora={"targets": ["q_proj", target]})
    choices = ", ".join(["all-linear", *LINEAR])
    assert str(caught.value) == f"model.lora.targets: the model has no linear layer {target!r}; choose {choices}"


def test_without_peft_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"peft, which makes the adapters, is missing: pip install 'cgpo\[lora\]'"):
        lora_settings({})
