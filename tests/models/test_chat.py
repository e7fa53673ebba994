"""How models read, told without their weights."""

from pathlib import Path

import pytest
from tests.policy.tiny import prompt, save_tiny, tiny_tokenizer

from cgpo.errors import UserError
from cgpo.models.chat import ModelPromptEncoder, StrictestPromptEncoder, load_prompt_encoder
from cgpo.policy.causal import load_policy


def test_a_model_reads_as_its_policy_does(tmp_path: Path) -> None:
    save_tiny(tmp_path, max_position_embeddings=48)
    reader, policy = load_prompt_encoder(str(tmp_path)), load_policy(str(tmp_path))
    assert reader.context_length == policy.context_length == 48
    asked = prompt(5, 6, 7, history=({"role": "user", "content": "w9"},))
    assert reader.encode_prompt(asked) == policy.encode_prompt(asked) == [9, 5, 6, 7]


def test_what_fits_the_strictest_fits_all() -> None:
    template = "{% for m in messages %}w4 w4 {{ m['content'] }} {% endfor %}"
    plain, wordy = tiny_tokenizer(), tiny_tokenizer(chat_template=template)
    reader = StrictestPromptEncoder([ModelPromptEncoder(plain, 30), ModelPromptEncoder(wordy, 40)])
    assert reader.context_length == 30
    assert reader.encode_prompt(prompt(5, 6)) == [4, 4, 5, 6]


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        load_prompt_encoder(str(tmp_path))
