"""Reading a completion: any JSON at all gives an answer or a reason, and never raises."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.judges.language_model.endpoint.reading import has_logprobs, is_completion, read, spent
from cgpo.judges.language_model.question import Said, Unanswered, Weighed

WORDS = ("yes", "no")
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*WORDS, " Yes"])
)
KEYS = st.sampled_from(
    ["choices", "message", "content", "logprobs", "top_logprobs", "token", "logprob", "usage", "total_tokens", "text"]
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def completion(content: Any, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}, "logprobs": logprobs}]}


@given(JSON)
@settings(max_examples=400)
def test_any_json_is_answered_or_told(body: Any) -> None:
    answer = read(body, WORDS, 0.01)
    assert isinstance(answer, Said | Unanswered | Weighed)
    if not is_completion(body):
        assert isinstance(answer, Unanswered)
    assert isinstance(has_logprobs(body), bool)
    assert spent(body) >= 0


@given(JSON, JSON)
@settings(max_examples=400)
def test_in_a_completion_too(content: Any, logprobs: Any) -> None:
    answer = read(completion(content, logprobs), WORDS, 0.01)
    if isinstance(answer, Said):
        assert isinstance(content, str)
        assert ("yes" if answer.positive else "no") in content.lower()


@given(st.dictionaries(st.text(max_size=6), st.floats(-30, 0), min_size=1, max_size=8))
def test_tokens_that_are_neither_word_decide_nothing(listed: dict[str, float]) -> None:
    others = {f"x{token}": value for token, value in listed.items()}
    entries = [{"token": token, "logprob": value} for token, value in others.items()]
    answer = read(completion("yes", {"content": [{**entries[0], "top_logprobs": entries}]}), WORDS, 0.0)
    assert isinstance(answer, Unanswered)


def test_a_listed_answer_is_weighed_by_hand() -> None:
    entries = [{"token": t, "logprob": math.log(p)} for t, p in {"▁yes": 0.5, "Ġno": 0.25, "no.": 0.125}.items()]
    answer = read(completion("yes", {"content": [{**entries[0], "top_logprobs": entries}]}), WORDS, 0.01)
    assert isinstance(answer, Weighed)
    assert math.isclose(answer.positive, math.log(0.5))
    assert math.isclose(answer.negative, math.log(0.375))
    assert not answer.positive_is_bound
    assert not answer.negative_is_bound
