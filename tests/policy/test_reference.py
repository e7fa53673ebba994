"""The reference: its own weights, elsewhere, and in fewer bits."""

import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.policy.tiny import PAD, tiny_policy
from torch import Tensor, nn

from cgpo.errors import UserError
from cgpo.models.quantization import weight_bytes
from cgpo.policy.causal import frozen_reference, load_policy
from cgpo.policy.logprobs import response_logprobs
from cgpo.policy.micro_batches import on_model_device

PROMPTS = [[5, 6, 7], [8, 9]]
IDS = torch.tensor([[10, 11, 1], [12, 1, 0]])
MASK = torch.tensor([[True, True, True], [True, True, False]])

needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="needs torchao")


def logprobs(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return response_logprobs(model, PROMPTS, IDS, MASK, 1.0, PAD)


def test_a_copy_stays_where_the_policy_was() -> None:
    policy = tiny_policy()
    before = logprobs(policy.model)
    reference = frozen_reference(policy, "cpu")
    assert torch.equal(logprobs(reference.model), before)
    assert not any(p.requires_grad for p in reference.model.parameters())
    with torch.no_grad():
        policy.model.lm_head.weight.mul_(2)
    assert torch.equal(logprobs(reference.model), before)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"reference_device: the reference cannot be put on cuda:99"):
        frozen_reference(tiny_policy(), device="cuda:99")


class Elsewhere:
    """Notes where its tensors were, and answers on another device."""

    def __init__(self) -> None:
        self.devices: list[str] = []

    def __call__(self, prompt_ids: Sequence[Sequence[int]], ids: Tensor, mask: Tensor) -> Tensor:
        self.devices += [ids.device.type, mask.device.type]
        return torch.ones(ids.shape)


def test_tensors_go_to_the_models_device_and_numbers_come_back() -> None:
    seen = Elsewhere()
    found = on_model_device(nn.Linear(1, 1, device="meta"), seen)(PROMPTS, IDS, MASK)
    assert seen.devices == ["meta", "meta"]
    assert found.device.type == "cpu"
    assert found.shape == IDS.shape


def test_on_one_device_nothing_changes() -> None:
    model = tiny_policy().model
    compute = partial(response_logprobs, model, temperature=1.0, pad_id=PAD)
    with torch.no_grad():
        assert torch.equal(on_model_device(model, compute)(PROMPTS, IDS, MASK), logprobs(model))


@needs_torchao
def test_int8_is_a_quarter_and_says_nearly_the_same(shared: Path) -> None:
    policy = load_policy(str(shared / "models/stories3M"))
    reference = frozen_reference(policy, "cpu", quantization="int8")
    exact, rounded = logprobs(policy.model), logprobs(reference.model)
    assert not torch.equal(exact, rounded)
    assert (exact - rounded).abs().max() < 0.5
    layers = policy.model.base_model.modules()
    linears = sum(layer.weight.numel() for layer in layers if isinstance(layer, nn.Linear))
    saved = weight_bytes(policy.model) - weight_bytes(reference.model)
    assert saved == pytest.approx(3 * linears, rel=0.02)
