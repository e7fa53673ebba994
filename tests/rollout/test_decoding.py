from collections import Counter
from typing import Any

import pytest
import torch
from tests.policy.tiny import EOS, PAD, STOP, prompt, tiny_policy, words

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.policy.logprobs import batched_logprobs, response_logprobs, rollout_responses
from cgpo.rollout import DecodingSampler
from cgpo.types import Prompt, Rollout

RAGGED = [prompt(5, 6, 7, 8), prompt(9), prompt(10, 11), prompt(12, 13, 14, 15, 16, 17, 18)]
EVEN = [prompt(5, 6), prompt(7, 8), prompt(9, 10)]


def lengths(rollout: Rollout) -> list[int]:
    return rollout.response_mask.sum(-1).tolist()


def scored_again(policy: CausalPolicy, rollout: Rollout) -> torch.Tensor:
    responses = rollout_responses(rollout)
    with torch.no_grad():
        return response_logprobs(
            policy.model, responses.prompt_ids, responses.ids, responses.mask, rollout.temperature, policy.pad_id
        )


@pytest.mark.parametrize("prompts", [RAGGED, EVEN, RAGGED[:1]], ids=["ragged", "even", "one"])
@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("compact_below", [0.0, 0.5, 0.8, 1.0])
def test_log_probabilities_are_those_of_the_policy(
    prompts: list[Prompt], temperature: float, compact_below: float
) -> None:
    policy = tiny_policy()
    sampler = DecodingSampler(12, temperature, compact_below=compact_below)
    rollout = sampler.sample(policy, prompts, 5, seed=2)
    if temperature > 1:
        assert len(set(lengths(rollout))) > 2, "responses must end at different steps for this test to say anything"
    torch.testing.assert_close(rollout.logprobs, scored_again(policy, rollout), rtol=1e-9, atol=1e-9)


def test_a_float32_policy() -> None:
    policy = tiny_policy(dtype=torch.float32)
    rollout = DecodingSampler(12, 1.3).sample(policy, RAGGED, 6, seed=0)
    assert rollout.logprobs.dtype == torch.float32
    torch.testing.assert_close(rollout.logprobs, scored_again(policy, rollout), rtol=1e-3, atol=1e-3)


def test_the_seed_decides() -> None:
    policy, sampler = tiny_policy(), DecodingSampler(12)
    torch.manual_seed(1)
    first = sampler.sample(policy, RAGGED, 3, seed=5)
    torch.manual_seed(2)
    again = sampler.sample(policy, RAGGED, 3, seed=5)
    other = sampler.sample(policy, RAGGED, 3, seed=6)
    assert torch.equal(first.response_ids, again.response_ids)
    assert torch.equal(first.logprobs, again.logprobs)
    assert first.responses == again.responses
    assert first.responses != other.responses


@pytest.mark.parametrize("max_batch", [None, 3, 4])
def test_with_a_seed_each_prompts_do_not_depend_on_the_others(max_batch: int | None) -> None:
    policy, sampler = tiny_policy(), DecodingSampler(12, 1.3, max_batch=max_batch)
    together = sampler.sample(policy, RAGGED, 3, seed=[5, 6, 7, 8])
    backwards = sampler.sample(policy, RAGGED[::-1], 3, seed=[8, 7, 6, 5])
    alone = [sampler.sample(policy, [p], 3, seed=[5 + i]).responses for i, p in enumerate(RAGGED)]
    assert [together.responses[3 * i : 3 * i + 3] for i in range(4)] == alone
    assert [backwards.responses[3 * i : 3 * i + 3] for i in range(4)] == alone[::-1]
    assert len(set(together.responses)) > 8, "responses to one prompt draw apart"
    assert sampler.sample(policy, RAGGED, 3, seed=[5, 6, 7, 9]).responses[:9] == together.responses[:9]


def test_sampling_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    DecodingSampler(4).sample(tiny_policy(), EVEN, 2, seed=5)
    assert torch.equal(torch.rand(1), wanted)


def test_a_response_stops_at_any_end_token() -> None:
    policy = tiny_policy()
    rollout = DecodingSampler(12, 1.5).sample(policy, RAGGED, 40, seed=0)
    last = Counter[int]()
    for ids, mask, finished, text in zip(
        rollout.response_ids, rollout.response_mask, rollout.finished, rollout.responses, strict=True
    ):
        length = int(mask.sum())
        assert mask.tolist() == [i < length for i in range(len(mask))]
        assert ids[length:].tolist() == [PAD] * (len(ids) - length)
        tokens = ids[:length].tolist()
        assert not {EOS, STOP} & set(tokens[:-1]), "nothing follows an end token"
        assert bool(finished) == (tokens[-1] in (EOS, STOP))
        assert finished or length == 12
        last[tokens[-1]] += 1
        assert text == words(*(t for t in tokens if t > 3))
    assert last[EOS] > 3
    assert last[STOP] > 3
    assert not rollout.finished.all()
    assert (rollout.logprobs[~rollout.response_mask] == 0).all()


def test_an_end_token_at_the_limit_is_an_end() -> None:
    rollout = DecodingSampler(1, 5.0).sample(tiny_policy(), RAGGED, 100, seed=0)
    assert lengths(rollout) == [1] * 400
    ends = torch.isin(rollout.response_ids[:, 0], torch.tensor([EOS, STOP]))
    assert ends.any()
    assert torch.equal(rollout.finished, ends)


def test_responses_stand_by_their_prompt() -> None:
    """Greedy responses tell prompts apart: each one's K copies are equal, and equal to those of the prompt alone."""
    policy = tiny_policy()
    sampler = DecodingSampler(6, temperature=1e-4)
    together = sampler.sample(policy, RAGGED, 2, seed=0)
    assert together.prompts == tuple(RAGGED)
    assert together.prompt_ids == ((5, 6, 7, 8), (9,), (10, 11), (12, 13, 14, 15, 16, 17, 18))
    alone = [sampler.sample(policy, [p], 1, seed=9).responses[0] for p in RAGGED]
    assert len(set(alone)) == 4
    assert together.responses == tuple(text for text in alone for _ in range(2))


def test_a_tiny_temperature_follows_the_likeliest_tokens() -> None:
    policy = tiny_policy()
    rollout = DecodingSampler(6, temperature=1e-4).sample(policy, [prompt(5, 6)], 1, seed=0)
    ids = [5, 6]
    for token in rollout.response_ids[0][rollout.response_mask[0]].tolist():
        with torch.no_grad():
            assert token == int(policy.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(token)


@pytest.mark.parametrize("max_batch", [1, 2, 3, 7, 100])
def test_chunks_are_put_together_again(max_batch: int) -> None:
    policy = tiny_policy()
    rollout = DecodingSampler(12, 1.3, max_batch=max_batch).sample(policy, RAGGED, 2, seed=1)
    assert rollout.response_ids.shape == rollout.logprobs.shape == (8, max(lengths(rollout)))
    assert rollout.prompts == tuple(RAGGED)
    torch.testing.assert_close(rollout.logprobs, scored_again(policy, rollout), rtol=1e-9, atol=1e-9)
    greedy = [
        DecodingSampler(6, 1e-4, max_batch=most).sample(policy, RAGGED, 2, seed=1).responses
        for most in (max_batch, None)
    ]
    assert greedy[0] == greedy[1]


class WidestBatch:
    """The most rows a model was ever asked for at once."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.rows = 0
        model.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, module: torch.nn.Module, args: object, kwargs: dict[str, Any]) -> None:
        self.rows = max(self.rows, len(kwargs["input_ids"]))


@pytest.mark.parametrize(("max_batch", "widest"), [(4, 4), (5, 4), (6, 6), (None, 8)])
def test_a_chunk_holds_whole_prompts_within_the_limit(max_batch: int | None, widest: int) -> None:
    policy = tiny_policy()
    seen = WidestBatch(policy.model)
    DecodingSampler(5, 1.3, max_batch=max_batch).sample(policy, RAGGED, 2, seed=1)
    assert seen.rows == widest


class Rows:
    """How many rows each forward pass had."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.counts: list[int] = []
        model.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, module: torch.nn.Module, args: object, kwargs: dict[str, Any]) -> None:
        self.counts.append(len(kwargs["input_ids"]))


def test_ended_rows_leave_the_batch() -> None:
    policy = tiny_policy()
    seen = Rows(policy.model)
    rollout = DecodingSampler(12, 1.5, compact_below=1.0).sample(policy, RAGGED, 10, seed=0)
    assert seen.counts[0] == 4, "each prompt is read once"
    running = [sum(length > step for length in lengths(rollout)) for step in range(1, max(lengths(rollout)))]
    assert seen.counts[1:] == running
    assert running[-1] < 40

    kept = Rows(policy.model)
    DecodingSampler(12, 1.5, compact_below=0.0).sample(policy, RAGGED, 10, seed=0)
    assert set(kept.counts[1:]) == {40}


def test_top_k_never_leaves_the_nucleus_and_keeps_the_uncut_log_probabilities() -> None:
    policy = tiny_policy()
    rollout = DecodingSampler(8, 1.5, top_k=2).sample(policy, EVEN, 20, seed=0)
    torch.testing.assert_close(rollout.logprobs, scored_again(policy, rollout), rtol=1e-9, atol=1e-9)
    responses = rollout_responses(rollout)
    for start, ids, mask in zip(responses.prompt_ids, responses.ids, responses.mask, strict=True):
        tokens = [*start, *ids[mask].tolist()]
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([tokens])).logits[0]
        for place in range(len(start), len(tokens)):
            assert tokens[place] in logits[place - 1].topk(2).indices.tolist()


def test_first_tokens_come_as_often_as_the_policy_says() -> None:
    policy = tiny_policy()
    rollout = DecodingSampler(1, 1.4).sample(policy, [prompt(5, 6)], 20_000, seed=0)
    with torch.no_grad():
        probabilities = (policy.model(input_ids=torch.tensor([[5, 6]])).logits[0, -1] / 1.4).softmax(0)
    counts = torch.bincount(rollout.response_ids[:, 0], minlength=32)
    common = probabilities * 20_000 > 5
    expected, found = probabilities[common] * 20_000, counts[common]
    chi_square = ((found - expected) ** 2 / expected).sum().item()
    assert common.sum() > 5
    assert chi_square < 62  # the 99.9 % quantile for 31 degrees of freedom is 61.1


@pytest.mark.parametrize("copies", [1, 3])
def test_the_context_limits_a_response(copies: int) -> None:
    policy = tiny_policy(max_position_embeddings=10, eos_token_id=[31])
    long = prompt(*range(5, 13))
    rollout = DecodingSampler(20, 1e-4).sample(policy, [long, prompt(5)], copies, seed=0)
    assert rollout.response_ids.shape[1] <= 2, "8 + 2 tokens fill a context of 10"
    alone = DecodingSampler(20, 1e-4).sample(policy, [prompt(5)], copies, seed=0)
    assert alone.response_ids.shape[1] <= 9
    torch.testing.assert_close(rollout.logprobs, scored_again(policy, rollout), rtol=1e-9, atol=1e-9)


def test_the_mode_of_the_model_is_left_as_it_was() -> None:
    policy = tiny_policy()
    for training in (True, False):
        policy.model.train(training)
        rollout = DecodingSampler(3).sample(policy, EVEN, 1, seed=0)
        assert policy.model.training is training
        assert not rollout.logprobs.requires_grad


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"max_batch": 0}, "max_batch"),
        ({"max_batch": -4}, "max_batch"),
        ({"compact_below": 1.5}, "compact_below"),
        ({"compact_below": -0.1}, "compact_below"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(UserError, match=rf"^DecodingSampler\.{names} is "):
        DecodingSampler(**{"max_new_tokens": 4, **settings})


def test_a_prompt_that_fills_the_context_is_refused() -> None:
    policy = tiny_policy(max_position_embeddings=10)
    with pytest.raises(UserError, match=r"^prompt long one: 10 tokens.*context"):
        DecodingSampler(4).sample(policy, [prompt(*range(4, 14), key="long one")], 1, seed=0)


def test_a_prompt_without_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="no tokens"):
        DecodingSampler(4).sample(tiny_policy(), [Prompt("empty", "")], 1, seed=0)


def test_a_pretrained_model(shared: Any) -> None:
    folder = shared / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    policy = load_policy(str(folder))
    prompts = [Prompt("lily", "Once upon a time, there was a little girl named"), Prompt("short", "One day")]
    rollout = DecodingSampler(40, 0.7).sample(policy, prompts, 4, seed=0)
    responses = rollout_responses(rollout)
    again = batched_logprobs(policy.model, responses.prompt_ids, responses.ids, responses.mask, 0.7, 0, 400)
    torch.testing.assert_close(rollout.logprobs, again, rtol=1e-3, atol=1e-3)
    assert rollout.logprobs[rollout.response_mask].mean().item() > -1.5
