"""Sequences in one row without padding, each as if it stood alone; models that cannot keep them apart are refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.architectures import small
from tests.policy.test_token_logprobs import IDS, MASK, PROMPTS, gradients

from cgpo.errors import UserError
from cgpo.policy.logprobs import packed_logprobs, require_packing, response_logprobs
from cgpo.policy.micro_batches import map_micro_batches, packed_batches

APART = ("llama", "qwen2", "qwen3", "phi", "gpt2", "gemma2", "gemma3_text", "granite", "cohere")
TOGETHER = ("opt", "falcon", "mamba")


@pytest.mark.parametrize("kind", APART)
def test_equals_padded_rows(kind: str) -> None:
    model = small(kind)
    require_packing(model)
    padded, packed = (f(model, PROMPTS, IDS, MASK, 0.7, 0) for f in (response_logprobs, packed_logprobs))
    # Some architectures compute norms or positions in float32 whatever their weights are.
    torch.testing.assert_close(packed, padded, rtol=1e-6, atol=1e-6)
    for have, want in zip(gradients(model, packed), gradients(model, padded), strict=True):
        torch.testing.assert_close(have, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", TOGETHER)
def test_models_that_see_across_are_refused(kind: str) -> None:
    model = small(kind)
    apart = packed_logprobs(model, PROMPTS, IDS, MASK, 0.7, 0) - response_logprobs(model, PROMPTS, IDS, MASK, 0.7, 0)
    assert apart.abs().max() > 0.1, "it would be wrong"
    with pytest.raises(UserError, match=r"^update\.packing: .*; use packing=false$"):
        require_packing(model)


@pytest.mark.parametrize("seed", range(3))
def test_rounding_is_not_mistaken_for_sight(seed: int) -> None:
    """A bfloat16 model as it is initialised, whose distributions are nearly uniform."""
    torch.manual_seed(seed)
    require_packing(small("llama", initializer_range=0.02, hidden_size=64).to(torch.bfloat16))


def test_the_mode_of_the_model_is_left() -> None:
    model = small("llama").train()
    require_packing(model)
    assert model.training


def test_in_micro_batches() -> None:
    model = small("llama")

    def compute(prompts: object, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return packed_logprobs(model, prompts, ids, mask, 1.0, 0)  # pyright: ignore[reportArgumentType]

    found = map_micro_batches(compute, PROMPTS, IDS, MASK, 9, packed_batches)
    wanted = response_logprobs(model, PROMPTS, IDS, MASK, 1.0, 0)
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-12, atol=1e-12)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_batches_cover_everything_once_and_keep_the_budget(lengths: list[int], max_tokens: int) -> None:
    batches = packed_batches(lengths, max_tokens)
    assert sorted(i for part in batches for i in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or sum(lengths[i] for i in part) <= max_tokens for part in batches)


def test_batches_by_hand() -> None:
    assert packed_batches([3, 6, 1, 5, 4, 1], 10) == [[1], [3, 4], [0, 2, 5]]
    assert packed_batches([7, 2, 9], 10) == [[2], [0, 1]]
    assert packed_batches([], 5) == []
