"""The static engine against the dynamic one; that a CUDA graph replays the same is not tested: it needs a GPU."""

import math
from typing import Any

import pytest
import torch
from tests.policy.architectures import small
from tests.policy.tiny import prompt, tiny_policy

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.rollout import DecodingSampler
from cgpo.rollout import static as engine
from cgpo.rollout.cuda_graphs import Slots, can_capture
from cgpo.rollout.dynamic import DynamicRows
from cgpo.rollout.prefill import prefill
from cgpo.rollout.static import StaticRows, require_static
from cgpo.types import Prompt, Rollout

RAGGED = [prompt(5, 6, 7, 8), prompt(9), prompt(10, 11), prompt(12, 13, 14, 15, 16, 17, 18)]
EVEN = [prompt(5, 6), prompt(7, 8), prompt(9, 10)]


def both(policy: CausalPolicy, prompts: list[Prompt], copies: int, seed: int, **settings: Any) -> list[Rollout]:
    settings = {"max_new_tokens": 12, "temperature": 1.3} | settings
    return [
        DecodingSampler(**settings, engine=name).sample(policy, prompts, copies, seed) for name in ("dynamic", "static")
    ]


def assert_equal(rollouts: list[Rollout], tolerance: float = 1e-9) -> None:
    dynamic, static = rollouts
    assert torch.equal(static.response_ids, dynamic.response_ids)
    assert torch.equal(static.response_mask, dynamic.response_mask)
    assert torch.equal(static.finished, dynamic.finished)
    assert static.responses == dynamic.responses
    torch.testing.assert_close(static.logprobs, dynamic.logprobs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("prompts", [RAGGED, EVEN, RAGGED[:1]], ids=["ragged", "even", "one"])
@pytest.mark.parametrize("max_batch", [None, 3, 5])
@pytest.mark.parametrize("copies", [1, 5])
def test_engines_draw_the_same(prompts: list[Prompt], max_batch: int | None, copies: int) -> None:
    drawn = both(tiny_policy(), prompts, copies, seed=2, max_batch=max_batch)
    assert_equal(drawn)
    if len(drawn[0].responses) > 5:
        assert len(set(drawn[0].response_mask.sum(-1).tolist())) > 2, "responses must end at different steps"


@pytest.mark.parametrize("settings", [{"top_k": 3}, {"top_p": 0.7}, {"temperature": 0.5}, {"max_new_tokens": 1}])
def test_engines_draw_the_same_with_other_settings(settings: dict[str, Any]) -> None:
    assert_equal(both(tiny_policy(), RAGGED, 4, seed=0, **settings))


def test_room_is_made_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """7 tokens of the longest prompt and 12 of a response need 20 columns in steps of 4, and 19 in steps of 1."""
    monkeypatch.setattr(engine, "CAPACITY_STEP", 1)
    tight = both(tiny_policy(), RAGGED, 3, seed=4, temperature=0.9)
    monkeypatch.setattr(engine, "CAPACITY_STEP", 4)
    roomy = both(tiny_policy(), RAGGED, 3, seed=4, temperature=0.9)
    assert_equal(tight)
    assert_equal(roomy)
    assert not tight[0].finished.all(), "some response must fill its columns"


def test_eager_attention_reads_the_mask_too() -> None:
    policy = tiny_policy(dtype=torch.float32)
    policy.model.set_attn_implementation("eager")
    assert_equal(both(policy, RAGGED, 3, seed=1), tolerance=1e-4)


def test_weights_changed_in_place_are_seen() -> None:
    policy = tiny_policy()
    before = both(policy, RAGGED, 2, seed=3)[1]
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.1)
    after = both(policy, RAGGED, 2, seed=3)
    assert_equal(after)
    assert not torch.equal(before.logprobs[:, 0], after[1].logprobs[:, 0])


def test_used_slots_can_be_loaded_again() -> None:
    """What earlier rows left behind, numbers that are not finite included, is not seen by later ones."""
    model = tiny_policy().model
    first = prefill(model, [[5, 6, 7, 8, 9, 10], [4]], pad_id=0)
    used = Slots(model.config, first, count=4, capacity=16)
    used.load(first, copies=2)
    for _ in range(5):
        used.read(model)
    for layer, _ in used._layers(first):
        layer.keys[:, :, 9:] = math.inf
        layer.values[:, :, 9:] = math.nan
    again = prefill(model, [[11, 12], [13]], pad_id=0)
    fresh = Slots(model.config, again, count=4, capacity=16)
    for slots in (used, fresh):
        slots.load(again, copies=2)
        slots.token.copy_(torch.tensor([[5], [6], [7], [8]]))
    for _ in range(3):
        assert torch.equal(used.read(model), fresh.read(model))


def test_ended_rows_stay_and_the_end_is_noticed_in_a_while() -> None:
    model = tiny_policy().model
    state = StaticRows(model, prefill(model, [[5, 6]], pad_id=0), copies=3, limit=40)
    state.running[:] = False
    assert [state.all_ended() for _ in range(16)] == ([False] * 7 + [True]) * 2
    assert state.rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "phi", "gpt2", "granite", "cohere", "opt", "falcon"])
def test_architectures_decode_in_slots_as_they_do_otherwise(kind: str) -> None:
    model = small(kind)
    require_static(model)
    rows = [[3, 4, 5, 6], [7], [8, 9]]
    reading = prefill(model, rows, pad_id=0)
    static = StaticRows(model, reading, 2, 10)
    dynamic = DynamicRows(model, reading, 2, 0.0)
    for token in range(10, 16):
        for state in (static, dynamic):
            state.advance(torch.arange(token, token + 6))
        torch.testing.assert_close(static.logits, dynamic.logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["mamba", "gemma2", "gemma3_text"])
def test_layers_without_full_attention_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=r"^rollout\.engine=static: \w+ has layers without full attention"):
        require_static(small(kind))


class Unmasked(torch.nn.Module):
    """A model that sees what a mask of its slots hides."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_policy().model
        self.config = self.inner.config

    def forward(self, attention_mask: Any = None, **inputs: Any) -> Any:
        if attention_mask is not None and attention_mask.ndim == 4:
            attention_mask = torch.ones_like(attention_mask)
        return self.inner(attention_mask=attention_mask, **inputs)


def test_a_model_that_would_answer_differently_is_refused() -> None:
    model = Unmasked()
    reading = prefill(model, [[5, 6], [7, 8]], pad_id=0)
    with pytest.raises(UserError, match=r"Unmasked answers differently with a cache of fixed length"):
        StaticRows(model, reading, 1, 4)


def test_graphs_are_for_cuda_alone() -> None:
    assert not can_capture(tiny_policy().model)


def test_a_float32_policy_and_a_pretrained_one(shared: Any) -> None:
    folder = shared / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    prompts = [Prompt("lily", "Once upon a time, there was a little girl named"), Prompt("short", "One day")]
    assert_equal(both(load_policy(str(folder)), prompts, 4, seed=0, temperature=0.7), tolerance=1e-4)


def test_an_engine_that_does_not_exist() -> None:
    with pytest.raises(UserError, match=r"^DecodingSampler\.engine is 'vllm': it must be dynamic or static$"):
        DecodingSampler(4, engine="vllm")  # pyright: ignore[reportArgumentType]
