"""A policy's folder: merged weights, adapters alone, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.policy.adapted import SETTINGS, adapted_policy, save_linear_conv, stir
from tests.policy.tiny import save_tiny, tiny_policy
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy, load_policy, merge_adapters, write_policy

TOKENS = torch.tensor([[5, 6, 7, 8], [20, 21, 22, 23]])


def logits(model: Any) -> Tensor:
    return model(input_ids=TOKENS).logits.detach()


def learnt(folder: Path, dtype: str = "float32", **settings: Any) -> CausalPolicy:
    policy = load_policy(str(folder), dtype, lora={**SETTINGS, **settings})
    stir(policy.model)
    return policy


def full_weights(policy: CausalPolicy) -> dict[str, Tensor]:
    """A state dict of tensors of its own, as gathering one from several processes gives."""
    return {name: weight.clone() for name, weight in policy.model.state_dict().items()}


@pytest.mark.parametrize("tied", [False, True])
def test_without_adapters_the_folder_is_that_of_save_pretrained(tmp_path: Path, tied: bool) -> None:
    policy = load_policy(str(save_tiny(tmp_path / "model", tie_word_embeddings=tied)))
    policy.model.save_pretrained(tmp_path / "plain")
    policy.tokenizer.save_pretrained(tmp_path / "plain")
    policy.save(tmp_path / "saved")
    write_policy(policy, full_weights(policy), tmp_path / "gathered")
    wanted = {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()}
    assert "model.safetensors" in wanted
    for folder in ("saved", "gathered"):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == wanted


def test_the_weights_given_are_those_written_whatever_the_model_holds(tmp_path: Path) -> None:
    policy, other = tiny_policy(0, torch.float32), tiny_policy(1, torch.float32)
    write_policy(policy, full_weights(other), tmp_path / "saved")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "saved")), logits(other.model))


def test_weights_of_another_precision_are_written_as_such(tmp_path: Path) -> None:
    policy = load_policy(str(save_tiny(tmp_path / "model")))
    half = {name: weight.bfloat16() for name, weight in policy.model.state_dict().items()}
    write_policy(policy, half, tmp_path / "saved")
    assert json.loads((tmp_path / "saved/config.json").read_text())["dtype"] == "bfloat16"
    assert {w.dtype for w in load_file(tmp_path / "saved/model.safetensors").values()} == {torch.bfloat16}
    assert policy.model.config.dtype == torch.float32


@pytest.mark.parametrize("family", ["llama", "tied llama", "gpt2"])
def test_merged_and_alone_say_what_the_policy_says(tmp_path: Path, family: str) -> None:
    base = tmp_path / "base"
    save_linear_conv(base) if family == "gpt2" else save_tiny(base, tie_word_embeddings=family == "tied llama")
    policy = learnt(base)
    policy.save(tmp_path / "saved")
    assert not torch.allclose(logits(policy.model), logits(policy.frozen_copy().model), atol=0.1)
    merged, info = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(logits(merged), logits(policy.model), rtol=1e-4, atol=1e-4)
    model = AutoModelForCausalLM.from_pretrained(base)
    alone = PeftModel.from_pretrained(model, str(tmp_path / "saved/adapter"))
    torch.testing.assert_close(logits(alone), logits(policy.model), rtol=1e-5, atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")("w5 w6")["input_ids"] == [5, 6]
    again = load_policy(str(tmp_path / "saved"), lora=SETTINGS)
    assert torch.equal(logits(again.model), logits(again.frozen_copy().model)), "a further run begins from the merged"


def test_the_adapters_configuration(tmp_path: Path) -> None:
    policy = learnt(save_tiny(tmp_path / "base"), targets=["v_proj", "q_proj"])
    policy.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved/adapter/adapter_config.json").read_text())
    wanted = {
        "r": 3,
        "lora_alpha": 6,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(tmp_path / "base"),
        "inference_mode": True,
    }
    assert {key: config[key] for key in wanted} == wanted
    names = load_file(tmp_path / "saved/adapter/adapter_model.safetensors").keys()
    assert len(names) == 2 * 2 * 2
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in names


def test_merging_a_matrix_written_out() -> None:
    policy = adapted_policy(torch.float32)
    name = "model.layers.0.self_attn.q_proj"
    weights = full_weights(policy)
    weights[f"{name}.base_layer.weight"] = torch.zeros(16, 16)
    weights[f"{name}.lora_A.default.weight"] = torch.zeros(3, 16)
    weights[f"{name}.lora_B.default.weight"] = torch.zeros(16, 3)
    weights[f"{name}.base_layer.weight"][4, 7] = 1.0
    weights[f"{name}.lora_A.default.weight"][1, 7] = 5.0
    weights[f"{name}.lora_B.default.weight"][4, 1] = 0.25
    merge_adapters(policy.model, weights)
    # 1 + alpha / r · 0.25 · 5, where alpha / r is 2
    assert weights[f"{name}.weight"][4, 7] == 3.5
    assert weights[f"{name}.weight"].count_nonzero() == 1
    assert weights.keys() == tiny_policy().model.state_dict().keys()


def test_a_half_precision_merge_is_rounded_once(tmp_path: Path) -> None:
    policy = learnt(save_tiny(tmp_path / "base"), "bfloat16")
    name = "model.layers.1.mlp.up_proj"
    layer: Any = policy.model.get_submodule(name)
    product = layer.lora_B["default"].weight.double() @ layer.lora_A["default"].weight.double()
    wanted = layer.base_layer.weight.double() + 2.0 * product
    policy.save(tmp_path / "saved")
    found = load_file(tmp_path / "saved/model.safetensors")[f"{name}.weight"]
    assert found.dtype == torch.bfloat16
    # bfloat16 keeps eight significant bits; and a little for float32.
    assert ((found.double() - wanted).abs() <= wanted.abs() * (2.0**-8 + 1e-6) + 1e-6).all()


def test_saving_leaves_the_policy_to_the_last_bit(tmp_path: Path) -> None:
    policy = learnt(save_tiny(tmp_path / "base"))
    before = full_weights(policy)
    wanted = {name: w.requires_grad for name, w in policy.model.named_parameters()}
    policy.save(tmp_path / "saved")
    after = policy.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name: w.requires_grad for name, w in policy.model.named_parameters()} == wanted


def test_weights_that_are_handed_over_are_let_go_of(tmp_path: Path) -> None:
    policy = learnt(save_tiny(tmp_path / "base"))
    weights = full_weights(policy)
    write_policy(policy, weights, tmp_path / "saved")
    assert weights == {}


def test_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    policy = tiny_policy(dtype=torch.float32)
    policy.save(tmp_path / "saved")
    before = (tmp_path / "saved/model.safetensors").read_bytes()
    with pytest.raises(UserError, match="there is something already, and it is never overwritten"):
        tiny_policy(1, torch.float32).save(tmp_path / "saved")
    assert (tmp_path / "saved/model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


class BrokenTokenizer:
    """Fails when it is its turn to be written, after the weights."""

    def save_pretrained(self, folder: Path) -> None:
        assert (folder / "model.safetensors").is_file()
        raise OSError("no space left on device")


def test_what_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    plain = tiny_policy(dtype=torch.float32)
    broken: Any = BrokenTokenizer()
    policy = CausalPolicy(plain.model, broken, plain.eos_ids, plain.pad_id, plain.context_length)
    with pytest.raises(OSError, match="no space left"):
        policy.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []
