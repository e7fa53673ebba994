import json
from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.judges.instruction_following import CHECKERS, InstructionFollowingJudge, checker
from cgpo.judges.instruction_following.text import language, sentences, tokens
from cgpo.types import Outcome, Prompt, Sample, Verdict

IFEVAL = Path(__file__).parents[2].parent / "shared" / "data" / "ifeval"

# instruction, arguments, a response that follows it, one that does not
EXAMPLES: list[tuple[str, dict[str, object], str, str]] = [
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"}, "A b. C d.", "A. b! C? d."),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one\n***\ntwo\n***\n", "one\n\ntwo"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one***two", "one *** *** two"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        'First.\n\n"Then, second.',
        "First.\n\nSecond then.",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "so"},
        "So it is.\n\nEnd.",
        "So it is.\n\nGoes on.\n\nEnd.",
    ),
    ("keywords:existence", {"keywords": ["red", "Blue"]}, "RED and blue", "red"),
    ("keywords:frequency", {"keyword": "red", "frequency": 2, "relation": "at least"}, "Red, red", "red"),
    ("keywords:frequency", {"keyword": "c++", "frequency": 1, "relation": "less than"}, "ccc", "C++"),
    ("keywords:forbidden_words", {"forbidden_words": ["war"]}, "A warm ward", "No War."),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 3, "let_relation": "at least"}, "EeE", "ee"),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 1, "let_relation": "less than"}, "ee", "e!"),
    ("language:response_language", {"language": "de"}, "Der Hund schläft auf dem Sofa.", "The dog is asleep on it."),
    (
        "language:response_language",
        {"language": "ru"},
        "Сегодня хорошая погода, и мы пойдём гулять в парк с собакой.",
        "The dog is asleep on the sofa.",
    ),
    ("change_case:english_capital", {}, "THE DOG SLEEPS ON THE SOFA.", "THE DOG SLEEPS ON THE SOFa."),
    ("change_case:english_lowercase", {}, "the dog sleeps on the sofa.", "The dog sleeps on the sofa."),
    ("change_case:english_lowercase", {}, "the dog is on the sofa and sleeps", "der hund schläft auf dem sofa"),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "I saw the U.S. today",
        "We saw the USA Today",
    ),
    ("punctuation:no_comma", {}, "one; two", "one, two"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] of [city]", "[name] of city]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\np. s. More.", "Bye. PS More."),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S. More.", "Bye.\nP.S. More."),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Who am I?"}, "who am i? You.", "You ask: Who am I?"),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("combination:two_responses", {}, "******one******two", "one******two******three"),
    ("startend:end_checker", {"end_phrase": "The end."}, 'So. "the end."', "The end. Really."),
    ("startend:quotation", {}, ' "so" ', '"'),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\n- two", "* one\n- two\n* three"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "**bold**\n* one", "**bold**"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\na\nSECTION 2\nb",
        "SECTION 1\na\nPART 2\nb",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<My title>>\ntext", "<< >>\ntext"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "My answer is perhaps."),
    ("detectable_format:constrained_response", {"options": ["Left", "Right"]}, "Right.", "My answer is yes."),
]


def ask(response: str, *asked: tuple[str, dict[str, object]], strict: bool = True) -> Verdict:
    metadata = {"instruction_id_list": [i for i, _ in asked], "kwargs": [kwargs for _, kwargs in asked]}
    [verdict] = InstructionFollowingJudge(strict).judge([Sample(Prompt("row", "", metadata=metadata), response)])
    return verdict


@pytest.mark.parametrize(("instruction", "kwargs", "good", "bad"), EXAMPLES)
def test_each_kind_tells_the_two_apart(instruction: str, kwargs: dict[str, object], good: str, bad: str) -> None:
    assert ask(good, (instruction, kwargs)) == Verdict(Outcome.SATISFIED, "followed")
    assert ask(bad, (instruction, kwargs)) == Verdict(Outcome.VIOLATED, f"not followed: {instruction}")


def test_all_25_kinds_have_an_example_and_a_docstring() -> None:
    assert len(CHECKERS) == 25
    assert {example[0] for example in EXAMPLES} == set(CHECKERS)
    assert all(check.__doc__ for check in CHECKERS.values())


def test_an_empty_response_follows_nothing() -> None:
    assert ask(" \n", ("punctuation:no_comma", {})).outcome == Outcome.VIOLATED


def test_several_instructions_are_all_to_be_followed_and_the_reason_names_those_that_were_not() -> None:
    asked = [("punctuation:no_comma", {}), ("startend:quotation", {}), ("detectable_format:title", {})]
    assert ask('"<<T>> a"', *asked) == Verdict(Outcome.SATISFIED, "all 3 instructions followed")
    assert ask('"a, b"', *asked).reason == "not followed: punctuation:no_comma, detectable_format:title"


def test_loosely_an_opening_line_and_asterisks_are_forgiven() -> None:
    response = "Sure, here it is:\n**my answer**"
    asked = ("change_case:english_lowercase", {}), ("punctuation:no_comma", {})
    assert ask(response, *asked).outcome == Outcome.VIOLATED
    assert ask(response, *asked, strict=False).outcome == Outcome.SATISFIED
    assert ask("a, b", *asked, strict=False).outcome == Outcome.VIOLATED


def test_it_applies_to_rows_with_instructions_only() -> None:
    [verdict] = InstructionFollowingJudge().judge([Sample(Prompt("row", ""), "text")])
    assert verdict.outcome == Outcome.NOT_APPLICABLE


def test_arguments_that_are_none_are_as_good_as_absent() -> None:
    assert ask("a", ("punctuation:no_comma", {"num_words": None, "relation": None})).outcome == Outcome.SATISFIED


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"instruction_id_list": ["no:such"], "kwargs": [{}]}, "unknown instruction 'no:such'; known are change_case"),
        ({"instruction_id_list": ["startend:quotation"], "kwargs": []}, "1 instructions but 0 kwargs"),
        ({"instruction_id_list": "startend:quotation", "kwargs": [{}]}, "must be lists"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": None}]}, "lacks 'keywords'"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": "a"}]}, "keywords must be"),
        ({"instruction_id_list": ["startend:quotation"], "kwargs": [{"word": "a"}]}, "does not know word"),
        (
            {
                "instruction_id_list": ["length_constraints:number_words"],
                "kwargs": [{"num_words": 3, "relation": "more than"}],
            },
            "'more than' is none of less than, at least",
        ),
    ],
)
def test_bad_rows_are_named_when_they_are_loaded(metadata: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"rows.jsonl:3: .*{message}"):
        InstructionFollowingJudge().check_prompt(Prompt("rows.jsonl:3", "", metadata=metadata))


IFEVAL_KINDS = """
change_case:capital_word_frequency change_case:english_capital change_case:english_lowercase combination:repeat_prompt
combination:two_responses detectable_content:number_placeholders detectable_content:postscript
detectable_format:constrained_response detectable_format:json_format detectable_format:multiple_sections
detectable_format:number_bullet_lists detectable_format:number_highlighted_sections detectable_format:title
keywords:existence keywords:forbidden_words keywords:frequency keywords:letter_frequency language:response_language
length_constraints:nth_paragraph_first_word length_constraints:number_paragraphs length_constraints:number_sentences
length_constraints:number_words punctuation:no_comma startend:end_checker startend:quotation
"""
NOT_IN_THE_PAPER = {"combination:repeat_prompt", "language:response_language"}


def test_all_kinds_are_there_with_an_example_and_a_docstring() -> None:
    kinds = IFEVAL_KINDS.split()
    assert len(kinds) == 25
    assert len(set(kinds) - NOT_IN_THE_PAPER) == 23
    assert sorted(CHECKERS) == kinds
    assert {example[0] for example in EXAMPLES} == set(kinds)
    assert all(check.__doc__ for check in CHECKERS.values())


@pytest.mark.parametrize("instruction", sorted({example[0] for example in EXAMPLES}))
def test_a_degenerate_response_is_read_in_one_pass(instruction: str) -> None:
    """With a second pass for each piece, these tests would take an hour."""
    arguments = next(example[1] for example in EXAMPLES if example[0] == instruction)
    for piece in (*"[]*\n-<.! {", "\n ", "<<", "a. ", '."', "a.", "SECTION ", "***"):
        ask(piece * (100_000 // len(piece)), (instruction, arguments))


def test_rows_without_instructions_are_valid() -> None:
    InstructionFollowingJudge().check_prompt(Prompt("rows.jsonl:3", "", metadata={"answer": "3"}))


def test_a_kind_is_added_by_one_decorated_function() -> None:
    @checker("test:starts_with")
    def starts_with(response: str, *, phrase: str) -> bool:
        return response.startswith(phrase)

    try:
        assert ask("Dear you", ("test:starts_with", {"phrase": "Dear"})).outcome == Outcome.SATISFIED
        assert ask("Hi you", ("test:starts_with", {"phrase": "Dear"})).outcome == Outcome.VIOLATED
        with pytest.raises(ValueError, match="registered twice"):
            checker("test:starts_with")(starts_with)
    finally:
        del CHECKERS["test:starts_with"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("Dr. Who met Mr. T. in Paris.", 1),
        ("It costs 3.50 dollars, e.g. here.", 1),
        ('He said "Go!" Then he left.', 2),
        ("No end", 1),
        ("Wait... what? Yes.", 2),
        ("一。二。", 2),
        ("", 0),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert len(sentences(text)) == count


def test_words_and_languages() -> None:
    assert tokens("I'm in the U.S. well-known") == ["I", "m", "in", "the", "U.S.", "well-known"]
    assert language("123 !") is None
    assert language("El perro duerme en el sofá.") == "es"


@pytest.mark.parametrize("mode", ["strict", "loose"])
def test_the_official_verdicts_are_reproduced(mode: str) -> None:
    if not IFEVAL.exists():
        pytest.skip("optional data ../shared/data/ifeval is absent")
    rows = {row["prompt"]: row for row in map(json.loads, (IFEVAL / "input_data.jsonl").read_text().splitlines())}
    judge = InstructionFollowingJudge(strict=mode == "strict")
    differing = []
    for line in (IFEVAL / f"gpt2_verdicts_{mode}.jsonl").read_text().splitlines():
        official = json.loads(line)
        metadata = rows[official["prompt"]]
        followed = judge.followed(Sample(Prompt("row", "", metadata=metadata), official["response"]))
        for i, expected in enumerate(official["follow_instruction_list"]):
            if followed[i] != expected:
                differing.append((metadata["instruction_id_list"][i], metadata["kwargs"][i]["letter"]))
    # the official checker replaces a "letter" that is no letter by a random one
    assert set(differing) <= {("keywords:letter_frequency", "!"), ("keywords:letter_frequency", "#")}
    assert len(differing) <= 2
