"""The tokenizer loses nothing and the suite's language is short in it."""

from functools import cache
from statistics import mean

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from cgpo.suite.model import ASSISTANT, CONTEXT_LENGTH, END, PAD, USER, tiny_llama, train_tokenizer
from cgpo.suite.source import TASKS, SuiteSource, corpus, demonstrations


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(corpus())


def length(text: str) -> int:
    return len(tokenizer().encode(text, add_special_tokens=False))


@given(st.text(max_size=200))
def test_any_text_decodes_to_itself(text: str) -> None:
    ids = tokenizer().encode(text, add_special_tokens=False)
    assert tokenizer().decode(ids, skip_special_tokens=not any(t in text for t in (PAD, USER, ASSISTANT, END))) == text


def test_digits_are_tokens_of_their_own() -> None:
    assert tokenizer().tokenize("12 + 345") == ["1", "2", "Ġ+", "Ġ3", "4", "5"]


def test_chat_template_closes_assistant_turns() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "?"},
    ]
    text = tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == f"{USER}Hi{ASSISTANT}Yes{END}{USER}?{ASSISTANT}"


def test_special_tokens() -> None:
    assert (tokenizer().pad_token, tokenizer().eos_token, len(tokenizer())) == (PAD, END, 768)
    assert len({*tokenizer().convert_tokens_to_ids([PAD, USER, ASSISTANT, END])}) == 4


def test_survives_saving(tmp_path: object) -> None:
    tokenizer().save_pretrained(str(tmp_path))
    loaded = PreTrainedTokenizerFast.from_pretrained(str(tmp_path))
    turns = [{"role": "user", "content": "What is 3 + 4?"}]
    assert loaded.apply_chat_template(turns) == tokenizer().apply_chat_template(turns)
    assert loaded.decode(loaded.encode(" a  b\n")) == " a  b\n"


def test_prompts_and_responses_are_short() -> None:
    for task in TASKS:
        pairs = demonstrations(task, SuiteSource(task, 500, 0).load().train, seed=0)
        assert mean(length(prompt.text) for prompt, _ in pairs) < 20
        assert mean(length(response) for _, response in pairs) < 20
        assert max(length(response) for _, response in pairs) <= 32


def test_model_is_tiny_and_repeatable() -> None:
    state = torch.random.get_rng_state()
    model = tiny_llama(tokenizer(), seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert 0.8e6 < sum(parameter.numel() for parameter in model.parameters()) < 1.05e6
    assert model.config.max_position_embeddings == CONTEXT_LENGTH
    again, other = tiny_llama(tokenizer(), seed=1), tiny_llama(tokenizer(), seed=2)
    weights = [m.get_input_embeddings().weight for m in (model, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
