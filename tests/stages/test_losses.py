"""The stages' losses against numbers worked out by hand, on a model whose probabilities stand in a table."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cgpo.stages.judge_model import answer_loss
from cgpo.stages.reward_model import bradley_terry_loss
from cgpo.stages.sft import TokenizedExample, negative_log_likelihood
from cgpo.stages.warmup import TokenizedPreference, dpo_loss

NEXT = torch.tensor([[0.5, 0.25, 0.125, 0.125], *[[0.25] * 4] * 3])
"""Of four tokens, the probabilities of the one that follows."""


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(NEXT.log())

    def forward(self, input_ids: Tensor, use_cache: bool = False, logits_to_keep: int = 0) -> Any:
        return SimpleNamespace(logits=self.logits[input_ids][:, -logits_to_keep:])


class Sums(nn.Module):
    """A reward model: a tenth of the sum of the tokens that count."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(logits=self.scale * (input_ids * attention_mask).sum(-1, keepdim=True))


def test_sft_is_the_mean_over_all_response_tokens() -> None:
    batch = [TokenizedExample((0,), (0, 1)), TokenizedExample((0, 1), (2,))]
    expected = -(math.log(0.5) + math.log(0.25) + math.log(0.25)) / 3
    assert negative_log_likelihood(Table(), batch, pad_id=3).item() == pytest.approx(expected)


def test_bradley_terry_by_hand() -> None:
    batch = [((3, 4), (1,)), ((1,), (2, 2))]  # rewards 0.7 and 0.1, 0.1 and 0.4
    expected = (math.log(1 + math.exp(-0.6)) + math.log(1 + math.exp(0.3))) / 2
    loss = bradley_terry_loss(Sums(), batch, pad_id=9)
    assert loss.item() == pytest.approx(expected)
    assert loss.item() == pytest.approx(0.645922, abs=1e-6)


def test_dpo_by_hand() -> None:
    pair = TokenizedPreference(
        TokenizedExample((0,), (0,)), TokenizedExample((0,), (1, 2)), reference_margin=math.log(4) - 0.5
    )
    # log ½ − log ¹⁄₁₆ = log 8; minus the reference's: log 2 + ½.
    expected = math.log(1 + math.exp(-0.4 * (math.log(2) + 0.5)))
    assert dpo_loss(Table(), [pair], beta=0.4, pad_id=3).item() == pytest.approx(expected)
    other = TokenizedPreference(pair.rejected, pair.chosen, -pair.reference_margin)
    both = dpo_loss(Table(), [pair, other], beta=0.4, pad_id=3).item()
    assert both == pytest.approx((expected + math.log(1 + math.exp(0.4 * (math.log(2) + 0.5)))) / 2)


def test_dpo_at_the_reference_is_log_two() -> None:
    pair = TokenizedPreference(TokenizedExample((0,), (0,)), TokenizedExample((0,), (1,)), reference_margin=math.log(2))
    assert dpo_loss(Table(), [pair], beta=0.1, pad_id=3).item() == pytest.approx(math.log(2))


def test_a_judge_learns_the_answer_among_two_at_the_last_position() -> None:
    batch = [((2, 0), 1), ((3, 3, 0), 0), ((1,), 0)]
    # After 0 the answers 1 and 2 have ¼ and ⅛: ⅔ and ⅓ among the two; after 1 they are equal.
    expected = -(math.log(1 / 3) + math.log(2 / 3) + math.log(1 / 2)) / 3
    assert answer_loss(Table(), batch, answers=(1, 2), pad_id=3).item() == pytest.approx(expected)
