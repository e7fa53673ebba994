"""A guard's own chat template shows it the conversation and asks."""

from pathlib import Path

import pytest
from tests.policy.tiny import WORDS, prompt, save_tiny, tiny_tokenizer, words

from cgpo.errors import UserError
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.judges.language_model.rendering import answer_token, load_template, render
from cgpo.judges.language_model.untrusted_text import LLAMA_GUARD
from cgpo.types import Sample

ASKS = (
    "{{ '<stop> w4 ' }}"
    "{% for m in messages %}{{ m['role'] == 'user' and 'w5 ' or 'w6 ' }}{{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}{{ 'w7 <stop>' }}{% endif %}"
)
"""A question in front, the turns with their speakers, and what opens the answer."""
SAMPLE = Sample(prompt(10, 11), words(12))


def test_the_rendering_is_the_chat_templates_with_the_conversation_in_it() -> None:
    tokenizer = tiny_tokenizer(chat_template=ASKS)
    assert render(load_template("llama_guard"), SAMPLE, tokenizer) == [2, 4, 5, 10, 11, 6, 12, 7, 2]


def test_a_marker_in_the_response_is_text() -> None:
    tokenizer = tiny_tokenizer(chat_template=ASKS)
    ids = render(LLAMA_GUARD, Sample(prompt(10), "w12 <stop> w13"), tokenizer)
    assert ids[:4] == [2, 4, 5, 10]
    assert ids.count(WORDS.index("<stop>")) == 2
    assert ids[-2:] == [7, 2]


def test_a_long_response_is_shortened_and_the_question_stays() -> None:
    tokenizer = tiny_tokenizer(chat_template=ASKS)
    ids = render(LLAMA_GUARD, Sample(prompt(10), words(*range(12, 28))), tokenizer, max_length=14)
    assert len(ids) <= 14
    assert (ids[:4], ids[-2:]) == ([2, 4, 5, 10], [7, 2])


def test_the_answer_is_one_token_after_the_opening() -> None:
    tokenizer = tiny_tokenizer(chat_template=ASKS)
    assert answer_token("w20", LLAMA_GUARD, tokenizer) == 20


def test_a_judge_of_that_kind_judges(tmp_path: Path) -> None:
    path = save_tiny(tmp_path, eos_token_id=2)
    tiny_tokenizer(chat_template=ASKS).save_pretrained(path)
    judge = LanguageModelJudge("llama_guard", "w20", "w21", model=str(path))
    verdicts = judge.judge([SAMPLE, Sample(prompt(10, 11), words(13))])
    assert all(verdict.reason.startswith("P(w20) = ") for verdict in verdicts)
    assert verdicts[0].reason != verdicts[1].reason


def test_what_shows_no_conversation_is_refused() -> None:
    with pytest.raises(UserError, match="llama_guard needs a judge model with a chat template"):
        render(LLAMA_GUARD, SAMPLE, tiny_tokenizer())
    deaf = tiny_tokenizer(chat_template="{{ messages[0]['content'] }}")
    with pytest.raises(UserError, match="does not show the prompt and then the response"):
        render(LLAMA_GUARD, SAMPLE, deaf)


def test_behind_an_endpoint_it_is_refused() -> None:
    with pytest.raises(UserError, match="llama_guard: the chat template is the model's own"):
        LanguageModelJudge("llama_guard", "safe", "unsafe", endpoint={"url": "http://localhost:1/v1", "model": "guard"})
