from pathlib import Path

import pytest
import torch
from tests.policy.tiny import PAD, WORDS, prompt, tiny_tokenizer, words
from transformers import LlamaConfig, LlamaForSequenceClassification

from cgpo.errors import UserError
from cgpo.models.chat import encode_sample
from cgpo.rewards.bradley_terry import BradleyTerryReward, ConstantReward
from cgpo.types import Prompt, Sample

TEMPLATE = "{% for m in messages %}{{ '<stop> ' if m['role'] == 'user' else 'w31 ' }}{{ m['content'] }} {% endfor %}"


def save_classifier(folder: Path, labels: int = 1, pad: int | None = PAD, **tokenizer: object) -> str:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        initializer_range=0.5,
        num_labels=labels,
        pad_token_id=pad,
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tiny_tokenizer(**tokenizer).save_pretrained(folder)
    return str(folder)


SAMPLES = [
    Sample(prompt(5, 6), words(7, 8, 9)),
    Sample(prompt(10), words(11)),
    Sample(prompt(5, 6), words(9, 8, 7)),
    Sample(prompt(12, 13, 14), ""),
    Sample(prompt(5, 6), words(7, 8, 9)),
    Sample(prompt(15), words(16, 17, 18, 19, 20, 21)),
]


def alone(model: BradleyTerryReward, ids: list[int]) -> float:
    with torch.no_grad():
        return model.model(input_ids=torch.tensor([ids])).logits.item()


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_scores_are_those_of_unbatched_passes_in_order(tmp_path: Path, batch_size: int) -> None:
    model = BradleyTerryReward(save_classifier(tmp_path), batch_size=batch_size)
    wanted = [alone(model, encode_sample(model.tokenizer, sample)) for sample in SAMPLES]
    assert len(set(wanted)) == 5
    found = model.score(SAMPLES)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(wanted, abs=1e-5)
    assert found[0] == found[4]


class Rows:
    """How many rows each forward pass had."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.counts: list[int] = []
        model.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        self.counts.append(len(kwargs["input_ids"]))


def test_identical_samples_are_scored_once(tmp_path: Path) -> None:
    model = BradleyTerryReward(save_classifier(tmp_path), batch_size=3)
    seen = Rows(model.model)
    model.score(SAMPLES)
    assert seen.counts == [3, 2]


@pytest.mark.parametrize("pad", [None, PAD])
def test_a_classifier_without_a_padding_token_is_batched_all_the_same(tmp_path: Path, pad: int | None) -> None:
    path = save_classifier(tmp_path, pad=None, **({} if pad is not None else {"pad_token": None}))
    model = BradleyTerryReward(path)
    wanted = [alone(model, encode_sample(model.tokenizer, sample)) for sample in SAMPLES]
    assert model.score(SAMPLES).tolist() == pytest.approx(wanted, abs=1e-5)


def test_a_conversation_beyond_the_context_loses_its_beginning(tmp_path: Path) -> None:
    model = BradleyTerryReward(save_classifier(tmp_path))
    long = Sample(prompt(*range(4, 16)), words(20, 21, 22))
    found = model.score([SAMPLES[0], long])
    wanted = alone(model, [*range(7, 16), 20, 21, 22])
    assert found[1].item() == pytest.approx(wanted, abs=1e-5)
    assert found[0].item() == pytest.approx(alone(model, [5, 6, 7, 8, 9]), abs=1e-5)


def test_rendering_without_a_template() -> None:
    history = ({"role": "user", "content": "w4"}, {"role": "assistant", "content": "w5"})
    sample = Sample(prompt(6, history=history), words(7))
    assert encode_sample(tiny_tokenizer(), sample) == [4, 5, 6, 7]


def test_rendering_through_the_template() -> None:
    history = ({"role": "user", "content": "w4"}, {"role": "assistant", "content": "w5"})
    sample = Sample(prompt(6, history=history), words(7))
    assert encode_sample(tiny_tokenizer(chat_template=TEMPLATE), sample) == [2, 4, 31, 5, 2, 6, 31, 7]


@pytest.mark.parametrize("labels", [2, 3])
def test_more_than_one_output_is_refused(tmp_path: Path, labels: int) -> None:
    with pytest.raises(UserError, match=f"a reward model has one output, this one has {labels}"):
        BradleyTerryReward(save_classifier(tmp_path, labels=labels))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such model folder"):
        BradleyTerryReward(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_answered_as_it_is(tmp_path: Path, value: float) -> None:
    model = BradleyTerryReward(save_classifier(tmp_path))
    with torch.no_grad():
        model.model.score.weight.fill_(value)
    assert not model.score(SAMPLES).isfinite().any()


def test_no_gradient_reaches_it(tmp_path: Path) -> None:
    model = BradleyTerryReward(save_classifier(tmp_path))
    assert not model.score(SAMPLES).requires_grad
    assert not any(p.requires_grad for p in model.model.parameters())


def test_low_precision_rewards_are_float32(tmp_path: Path) -> None:
    path = save_classifier(tmp_path)
    exact, rounded = (BradleyTerryReward(path, dtype=name).score(SAMPLES) for name in ("float32", "bfloat16"))
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.3, rtol=0.1)
    assert not torch.equal(rounded, exact)


def test_a_constant_reward() -> None:
    assert ConstantReward(-2).score([Sample(Prompt("a", "x"), "y")] * 3).tolist() == [-2.0] * 3
    assert ConstantReward().score([]).shape == (0,)
