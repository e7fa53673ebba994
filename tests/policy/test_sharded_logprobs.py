"""Two processes that share a model's pieces find what one finds."""

import json
from importlib.util import find_spec

import pytest
from tests.processes import together

ROUNDING = 2e-5
HALF_ROUNDING = 0.05
"""Of bfloat16 numbers, which have eight bits, after two layers."""

VARIANTS = ("tied", "untied", "freed_root", "own_head", "checkpointing", "softcap", "mixed")
ADAPTED = ("lora", "lora_inside") if find_spec("peft") else ()
WEIGHTS = {"untied": 21, "own_head": 21, "softcap": 24, "lora": 8, "lora_inside": 8}
"""Weights that have a gradient: 9 in a Llama's layer, 11 in a Gemma's, 4 in LoRA's; norm, embedding, head."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What the first of two processes says of each variant."""
    first, _ = together(
        2, "tests.policy.sharded_logprobs", *VARIANTS, *ADAPTED, folder=tmp_path_factory.mktemp("meeting")
    )
    return json.loads(first.stdout)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sharded_equals_alone(variant: str, found: dict[str, dict[str, float]]) -> None:
    limit = HALF_ROUNDING if variant == "mixed" else ROUNDING
    assert found[variant]["logprobs"] < limit
    assert found[variant]["gradients"] < limit
    assert found[variant]["weights"] == WEIGHTS.get(variant, 20)


@pytest.mark.parametrize("variant", ADAPTED)
def test_sharded_with_adapters(variant: str, found: dict[str, dict[str, float]]) -> None:
    """FSDP's root is the wrapper, or the model inside it."""
    assert found[variant]["logprobs"] < ROUNDING
    assert found[variant]["gradients"] < ROUNDING
    assert found[variant]["weights"] == WEIGHTS[variant]
