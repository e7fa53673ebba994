"""Log-probabilities a chunk of tokens at a time, whatever a model does to its logits."""

import math
from typing import Any

import pytest
import torch
from tests.policy.architectures import SETTINGS, small
from tests.policy.tiny import tiny_model
from torch import Tensor, nn

from cgpo.policy import token_logprobs as head
from cgpo.policy.logprobs import concatenate, response_logprobs
from cgpo.policy.token_logprobs import TokenLogprobs, find_logit_transform

PROMPTS = [[5, 6, 7, 8], [9], [10, 11], [12, 13, 14, 15, 16, 17]]
RESPONSES = [[20, 21, 1], [4], [], [30, 29, 28, 27, 26]]
IDS = torch.tensor([[*row, *[0] * (6 - len(row))] for row in RESPONSES])
MASK = torch.tensor([[i < len(row) for i in range(6)] for row in RESPONSES])
WEIGHTS = torch.arange(1.0, 25.0, dtype=torch.float64).view(4, 6)


def plain(model: Any, temperature: float) -> Tensor:
    """All logits at once."""
    rows = concatenate(PROMPTS, IDS, MASK, 0)
    logits = model(input_ids=rows.tokens[:, :-1], use_cache=False).logits.to(head.logprob_dtype(model))
    found = (logits / temperature).log_softmax(-1).gather(-1, rows.tokens[:, 1:, None]).squeeze(-1)
    return rows.align_to_responses(found[:, -rows.last :])


def chunked(model: Any, temperature: float) -> Tensor:
    return response_logprobs(model, PROMPTS, IDS, MASK, temperature, 0)


def gradients(model: nn.Module, found: Tensor) -> list[Tensor]:
    answers = torch.autograd.grad((found * WEIGHTS).sum(), list(model.parameters()), allow_unused=True)
    return [torch.zeros(1) if answer is None else answer for answer in answers]


def passes(model: nn.Module) -> list[tuple[int, ...]]:
    """A list that grows by the shape of what the head reads, at each of its calls."""
    seen: list[tuple[int, ...]] = []
    model.get_output_embeddings().register_forward_hook(lambda _, args, __: seen.append(tuple(args[0].shape)))  # pyright: ignore[reportCallIssue]
    return seen


@pytest.mark.parametrize("budget", [1, 80, 10_000], ids=["one token", "two tokens", "all"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_equals_all_logits_at_once(kind: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOGIT_BUDGET", budget)
    model = small(kind)
    wanted, found = plain(model, 0.7), chunked(model, 0.7)
    limit = 1e-6 if kind == "mamba" else 1e-12  # its state is in float32
    torch.testing.assert_close(found, wanted, rtol=limit, atol=limit)
    for have, want in zip(gradients(model, found), gradients(model, wanted), strict=True):
        torch.testing.assert_close(have, want, rtol=10 * limit, atol=100 * limit)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "granite", "cohere", "phi"])
def test_the_head_never_reads_more_than_a_chunk(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine tokens, two at a time: one position to see what becomes of it, then 2 + 2 + 2 + 2 + 1, and these again."""
    monkeypatch.setattr(head, "LOGIT_BUDGET", 80)
    model = small(kind)
    seen = passes(model)
    found = chunked(model, 1.0)
    forward = [(1, 1, 16), *[(1, 2, 16)] * 4, (1, 1, 16)]
    assert seen == forward
    found.sum().backward()
    assert sorted(seen) == sorted([*forward, *forward[1:]])


def test_one_chunk_is_computed_once() -> None:
    model = small("llama")
    seen = passes(model)
    chunked(model, 1.0).sum().backward()
    assert seen == [(1, 1, 16), (1, 9, 16)]


class Shifted(nn.Module):
    """A model that does something to its logits of which nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = small("llama")
        self.shift = torch.linspace(-2.0, 2.0, 40, dtype=torch.float64)

    def get_output_embeddings(self) -> nn.Module:
        return self.inside.lm_head

    def forward(self, **inputs: Any) -> Any:
        output = self.inside(**inputs)
        output.logits = output.logits + self.shift
        return output


def test_what_is_not_understood_is_computed_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOGIT_BUDGET", 80)
    model = Shifted()
    wanted, found = plain(model, 0.7), chunked(model, 0.7)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert (found - chunked(model.inside, 0.7)).abs().max() > 0.1, "the shift matters"
    for have, want in zip(gradients(model, found), gradients(model, wanted), strict=True):
        torch.testing.assert_close(have, want, rtol=1e-11, atol=1e-10)


RAW = torch.tensor([[1.0, -6.0, 2.5]])
CAPPED = [3.0 * math.tanh(1 / 3), -3.0 * math.tanh(2.0), 3.0 * math.tanh(2.5 / 3)]


@pytest.mark.parametrize(
    ("kind", "logits", "of_six"),
    [
        ("llama", [1.0, -6.0, 2.5], 6.0),
        ("gemma2", CAPPED, 3.0 * math.tanh(2.0)),
        ("gemma2", [1.0, -6.0, 2.5], 6.0),  # a setting that the model does not heed
        ("granite", [0.25, -1.5, 0.625], 1.5),
        ("granite", [4.0, -24.0, 10.0], 24.0),
    ],
)
def test_a_tail_is_told_by_what_comes_out(kind: str, logits: list[float], of_six: float) -> None:
    made = torch.tanh(RAW / 3.0) * 3.0 if logits is CAPPED else torch.tensor([logits])
    assert made.tolist() == [pytest.approx(logits)]
    tail = find_logit_transform(small(kind), RAW, made)
    assert tail is not None
    assert tail(torch.tensor([6.0])).item() == pytest.approx(of_six)


def test_a_tail_that_nobody_knows() -> None:
    assert find_logit_transform(small("granite"), RAW, RAW / 3.0) is None
    assert find_logit_transform(small("gemma2"), RAW, RAW[:, :2]) is None, "a vocabulary that is cut"


@pytest.mark.parametrize("budget", [80, 10_000])
def test_under_autocast(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the backward pass, too, which is outside of autocast: gradients are those of the plain way."""
    monkeypatch.setattr(head, "LOGIT_BUDGET", budget)
    model = small("llama").float()
    answers = []
    for compute in (plain, chunked):
        with torch.autocast("cpu", torch.bfloat16):
            found = compute(model, 1.0)
        assert found.dtype == torch.float32
        answers.append((found.detach(), gradients(model, found)))
    (wanted, wanted_gradients), (found, found_gradients) = answers
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    for have, want in zip(found_gradients, wanted_gradients, strict=True):
        assert (have - want).norm() <= 0.02 * want.norm() + 1e-4


def test_with_gradient_checkpointing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOGIT_BUDGET", 64)
    model = tiny_model()
    wanted = gradients(model, plain(model, 1.0))
    model.gradient_checkpointing_enable()
    model.train()
    for have, want in zip(gradients(model, chunked(model, 1.0)), wanted, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-11, atol=1e-10)


def test_the_hooks_are_gone_afterwards() -> None:
    model = small("llama")
    chunked(model, 1.0)
    assert model(input_ids=torch.tensor([[5, 6, 7]])).logits.shape == (1, 3, 40)
    with pytest.raises(TypeError, match="unsupported operand"):
        response_logprobs(model, PROMPTS, IDS, MASK, None, 0)  # pyright: ignore[reportArgumentType]
    assert model(input_ids=torch.tensor([[5, 6, 7]])).logits.shape == (1, 3, 40)


def test_token_logprobs_by_hand() -> None:
    """Two equal logits: log ½, and the gradient ½ at the token, −½ at the other; known answers are taken."""
    for known in (None, torch.tensor([0.5], dtype=torch.float64).log()):
        logits = torch.tensor([[3.0, 3.0]], dtype=torch.float64, requires_grad=True)
        found: Any = TokenLogprobs.apply(logits, torch.tensor([1]), known)
        assert found.item() == pytest.approx(-0.6931471805599453)
        (4 * found).sum().backward()
        assert logits.grad is not None
        assert logits.grad.tolist() == [[pytest.approx(-2.0), pytest.approx(2.0)]]
