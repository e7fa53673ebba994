"""Weights in fewer bits: what is refused, what is counted, what is left alone."""

import importlib.util
from pathlib import Path

import pytest
import torch
from tests.policy.tiny import tiny_model
from torch import nn

from cgpo.errors import UserError
from cgpo.models.quantization import check_quantization, quantize, weight_bytes

needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="needs torchao")


def test_null_changes_nothing() -> None:
    model = tiny_model(dtype=torch.float32)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert quantize(model, None) is model
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    check_quantization("models_quantization", None)


def test_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="models_quantization is 'int7': choose null, int8 or int4"):
        check_quantization("models_quantization", "int7")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgpo.models.quantization.find_spec", {"torchao": None}.get)
    with pytest.raises(UserError, match=r"reward\.a\.quantization: int8 needs .*: pip install 'cgpo\[quantization\]'"):
        check_quantization("reward.a.quantization", "int8")


def test_bytes_of_shared_weights_count_once() -> None:
    first = nn.Linear(3, 5)
    second = nn.Linear(3, 5)
    second.weight = first.weight
    assert weight_bytes(nn.ModuleList([first, second])) == 4 * (15 + 5 + 5)


@needs_torchao
def test_linear_layers_take_a_byte_a_weight_and_the_head_stays() -> None:
    model = tiny_model(dtype=torch.float32)
    whole = weight_bytes(model)
    linears = [m for n, m in model.named_modules() if isinstance(m, nn.Linear) and n != "lm_head"]
    weights, rows = sum(m.weight.numel() for m in linears), sum(m.out_features for m in linears)
    quantize(model, "int8")
    assert type(model.lm_head.weight) is nn.Parameter
    # A byte instead of four a weight; a float32 scale and a zero point of one byte a row.
    assert whole - weight_bytes(model) == 3 * weights - 5 * rows


@needs_torchao
def test_int4_on_a_cpu_is_refused_in_one_line() -> None:
    if torch.cuda.is_available():
        pytest.skip("int4 is there")
    with pytest.raises(UserError, match=r"quantization int4: not available here: .*; int8 runs on every device"):
        quantize(tiny_model(dtype=torch.float32, hidden_size=64, intermediate_size=64), "int4")


@needs_torchao
def test_a_reward_model_in_int8_scores_nearly_the_same(tmp_path: Path) -> None:
    from tests.rewards.test_bradley_terry import SAMPLES, save_classifier

    from cgpo.rewards.bradley_terry import BradleyTerryReward

    path = save_classifier(tmp_path)
    exact, rounded = (BradleyTerryReward(path, quantization=kind).score(SAMPLES) for kind in (None, "int8"))
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, atol=0.15, rtol=0.1)
