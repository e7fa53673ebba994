import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.tiny import PAD, tiny_model
from torch import Tensor, nn

from cgpo.policy.logprobs import batched_logprobs, response_logprobs
from cgpo.policy.micro_batches import padded_batches

PROMPTS = [[5, 6, 7, 8], [9], [10, 11], [12, 13, 14, 15, 16, 17]]
RESPONSES = [[20, 21, 1], [4], [], [30, 29, 28, 27, 26]]


def padded(responses: Sequence[Sequence[int]], width: int | None = None, fill: int = PAD) -> tuple[Tensor, Tensor]:
    width = max(map(len, responses)) if width is None else width
    ids = torch.tensor([[*row, *[fill] * (width - len(row))] for row in responses]).view(len(responses), width)
    return ids, torch.tensor([[i < len(row) for i in range(width)] for row in responses]).view(len(responses), width)


def naive(model: nn.Module, prompt: Sequence[int], response: Sequence[int], temperature: float) -> list[float]:
    """One sequence, one full forward pass, one token at a time."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0]
    return [
        torch.log_softmax(logits[len(prompt) - 1 + i] / temperature, dim=0)[token].item()
        for i, token in enumerate(response)
    ]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_equals_one_sequence_at_a_time(temperature: float) -> None:
    model = tiny_model()
    ids, mask = padded(RESPONSES, width=7)
    found = response_logprobs(model, PROMPTS, ids, mask, temperature, PAD)
    assert found.dtype == torch.float64
    for row, prompt, response in zip(found, PROMPTS, RESPONSES, strict=True):
        wanted = naive(model, prompt, response, temperature) + [0.0] * (7 - len(response))
        assert row.tolist() == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("row", range(4))
def test_batched_equals_one_by_one(row: int) -> None:
    model = tiny_model()
    ids, mask = padded(RESPONSES)
    together = response_logprobs(model, PROMPTS, ids, mask, 1.0, PAD)[row]
    alone = response_logprobs(model, PROMPTS[row : row + 1], ids[row : row + 1], mask[row : row + 1], 1.0, PAD)[0]
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    model = tiny_model()
    clean = response_logprobs(model, PROMPTS, *padded(RESPONSES), 1.0, PAD)
    dirty = response_logprobs(model, PROMPTS, *padded(RESPONSES, width=9, fill=31), 1.0, 7)
    torch.testing.assert_close(dirty[:, :5], clean, rtol=0, atol=0)
    assert (dirty[:, 5:] == 0).all()


def test_a_first_token_is_predicted_by_the_prompts_last() -> None:
    """Against the distribution itself: the probabilities of all first tokens sum to 1."""
    model = tiny_model()
    ids, mask = padded([[token] for token in range(32)])
    total = response_logprobs(model, [[5, 6]] * 32, ids, mask, 1.7, PAD).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-12)


def test_only_empty_responses() -> None:
    found = response_logprobs(tiny_model(), [[5], [6]], *padded([[], []], width=3), 1.0, PAD)
    assert found.tolist() == [[0.0] * 3] * 2


def test_the_gradient_is_that_of_the_naive_sum() -> None:
    model = tiny_model()
    ids, mask = padded(RESPONSES)
    weights = torch.arange(1.0, 21.0, dtype=torch.float64).view(4, 5)
    (response_logprobs(model, PROMPTS, ids, mask, 0.7, PAD) * weights).sum().backward()
    found = [p.grad for p in model.parameters()]
    model.zero_grad()
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0] / 0.7
        for i, token in enumerate(response):
            (weights[row, i] * logits[len(prompt) - 1 + i].log_softmax(0)[token]).backward(retain_graph=True)
    for have, parameter in zip(found, model.parameters(), strict=True):
        assert have is not None
        assert parameter.grad is not None
        torch.testing.assert_close(have, parameter.grad, rtol=1e-10, atol=1e-12)


def test_a_low_precision_model_answers_float32() -> None:
    model = tiny_model(dtype=torch.bfloat16)
    found = response_logprobs(model, PROMPTS, *padded(RESPONSES), 1.0, PAD)
    assert found.dtype == torch.float32
    logits = model(input_ids=torch.tensor([[*PROMPTS[1], *RESPONSES[1]]])).logits[0, 0]
    # A float32 log_softmax of bfloat16 logits, not a bfloat16 one: the same up to the batch's own rounding of logits.
    assert found[1, 0].item() == pytest.approx(logits.float().log_softmax(0)[4].item(), abs=0.05)


@pytest.mark.parametrize("max_tokens", [1, 8, 20, 10_000])
def test_micro_batches_change_nothing(max_tokens: int) -> None:
    model = tiny_model()
    ids, mask = padded(RESPONSES, width=6)
    found = batched_logprobs(model, PROMPTS, ids, mask, 1.3, PAD, max_tokens)
    assert not found.requires_grad
    wanted = response_logprobs(model, PROMPTS, ids, mask, 1.3, PAD).detach()
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_micro_batches_cover_everything_once_and_keep_the_budget(lengths: list[int], max_tokens: int) -> None:
    batches = padded_batches(lengths, max_tokens)
    flat = [i for part in batches for i in part]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    for part, following in zip(batches, [*batches[1:], []][: len(batches)], strict=True):
        widest = max(lengths[i] for i in part)
        assert len(part) == 1 or len(part) * widest <= max_tokens
        if following:
            assert (len(part) + 1) * widest > max_tokens, "the next sequence would have fitted"


def test_micro_batches_by_hand() -> None:
    # Budget 10: 6 alone (2 · 6 > 10), then 5 and 4 (2 · 5), then 3, 1, 1 (3 · 3)
    assert padded_batches([3, 6, 1, 5, 4, 1], 10) == [[1], [3, 4], [0, 2, 5]]
    assert padded_batches([7, 9], 5) == [[1], [0]]
    assert padded_batches([], 5) == []


def test_more_certain_at_a_lower_temperature() -> None:
    """Temperature divides: towards 0 the likeliest token's log-probability tends to 0."""
    model = tiny_model()
    with torch.no_grad():
        likeliest = int(model(input_ids=torch.tensor([[5, 6]])).logits[0, -1].argmax())
    ids, mask = padded([[likeliest]])
    cold, warm, hot = (response_logprobs(model, [[5, 6]], ids, mask, t, PAD).item() for t in (0.01, 1.0, 1000.0))
    assert cold == pytest.approx(0.0, abs=1e-3)
    assert cold > warm > hot
    assert hot == pytest.approx(-math.log(32), abs=0.02)
