import pytest

from cgpo.data import extractors


def test_gsm8k() -> None:
    text = "She sold 48/2 = <<48/2=24>>24 clips.\n#### 1,080"
    assert extractors.gsm8k_answer(text) == "1080"
    assert extractors.gsm8k_solution(text) == "She sold 48/2 = 24 clips."


def test_boxed_answer_is_the_last_with_its_braces_balanced() -> None:
    assert extractors.boxed_answer(r"first \boxed{1}, then $\boxed{\frac{1}{2}}$.") == r"\frac{1}{2}"


def test_texts_that_hold_structure() -> None:
    assert extractors.json('["a", {"b": 1}]') == ["a", {"b": 1}]
    assert extractors.lines("assert f(1)\n\n  \nassert f(2)\n") == ["assert f(1)", "assert f(2)"]
    assert extractors.strings(["a"]) == ["a"]
    assert extractors.integer(" 12 ") == 12
    assert (extractors.yes_no(" yes"), extractors.yes_no("No")) == (True, False)


def test_ifeval_kwargs_lose_their_nulls_and_keep_their_places() -> None:
    kwargs = [{"num_words": None, "relation": None}, {"num_words": 0, "relation": "at least"}, None]
    assert extractors.ifeval_kwargs(kwargs, ["a", "b", "c"]) == [{}, {"num_words": 0, "relation": "at least"}, {}]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("gsm8k_answer", ["42"], "no answer after '####'"),
        ("gsm8k_answer", ["so ####  "], "no answer after '####'"),
        ("gsm8k_answer", [42], "expected a text"),
        ("boxed_answer", [r"\boxed{1"], "no .boxed"),
        ("json", ["[1,"], "not JSON"),
        ("strings", ["assert True"], "expected a list of texts"),
        ("strings", [[]], "expected a list of texts, at least one"),
        ("integer", [1.5], "expected a whole number"),
        ("integer", ["x"], "invalid literal"),
        ("yes_no", ["maybe"], "expected yes or no"),
        ("ifeval_kwargs", [[{}], ["a", "b"]], "1 kwargs for 2 instructions"),
        ("ifeval_kwargs", [["x"], ["a"]], "expected a list of objects"),
        ("ifeval_kwargs", ["[{]", ["a"]], "not JSON"),
        ("first_turn", [[{"role": "assistant", "content": "hello"}]], "no message of a user"),
        ("chosen_answer", [{"text": ["yes"], "label": ["A"]}, "B"], "no choice is labelled 'B'"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, arguments: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(extractors, name)(*arguments)


CHOICES = {"text": ["iron", "ice"], "label": ["A", "B"]}


def test_the_hubs_forms_of_questions_and_answers() -> None:
    assert extractors.labelled_choices(CHOICES) == ["A. iron", "B. ice"]
    assert extractors.chosen_answer(CHOICES, "B") == "B. ice"
    assert extractors.trivia_answers({"value": "Rome", "aliases": ["Roma", "Rome"]}) == ["Rome", "Roma"]
    assert extractors.trivia_answers({"value": "Rome", "aliases": []}) == ["Rome"]
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert extractors.first_turn(turns) == "a"


def test_arguments_of_instructions_may_be_json_text() -> None:
    assert extractors.ifeval_kwargs('[{"num_bullets": 3, "relation": null}, {}]', ["a", "b"]) == [
        {"num_bullets": 3},
        {},
    ]
