import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.judges.math.answer_equality import same
from cgpo.judges.math.judge import MathJudge, extract
from cgpo.types import Outcome, Prompt, Sample, Verdict

SOLUTIONS = Path(__file__).parents[3].parent / "shared" / "data" / "gsm8k" / "model_solutions.jsonl"


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    judge = MathJudge(timeout=2.0)
    yield judge
    judge.close()


def ask(judge: MathJudge, response: str, **metadata: object) -> Verdict:
    [verdict] = judge.judge([Sample(Prompt("row", "question", metadata=metadata), response)])
    return verdict


@pytest.mark.parametrize(
    ("response", "form", "answer"),
    [
        ("So 3 + 4 = 7. The final answer is 7.", "final_answer", "7"),
        ("The final answer is 3.50. I am sure.", "final_answer", "3.50"),
        ("The final answer is: $\\frac{1}{2}$.", "final_answer", "$\\frac{1}{2}$"),
        ("The final answer is 3. No: the final answer is 4.", "final_answer", "4"),
        ("The answer is 7.", "final_answer", None),
        ("The final answer is", "final_answer", None),
        ("It is \\boxed{\\frac{1}{2}}.", "boxed", "\\frac{1}{2}"),
        ("\\boxed{1}, no, \\boxed{2}", "boxed", "2"),
        ("\\boxed{1} and \\boxed{2", "boxed", "1"),
        ("\\boxed{}", "boxed", None),
        ("\\boxed{{1}} } {", "boxed", "{1}"),
        ("\\boxed{\\boxed{1} + 1}", "boxed", "1"),
        ("\\boxed{ \\boxed{1}", "boxed", "1"),
        ("The final answer is:\n7", "final_answer", None),
        ("3 + 4 = 7\n#### 7", "gsm8k", "7"),
        ("#### 7\n#### 1,000 ", "gsm8k", "1,000"),
        ("7 ####", "gsm8k", None),
        ("half\nA: 18", "answer_line", "18"),
        ("#### 7\n\\boxed{8}", None, "8"),
        ("#### 7", None, "7"),
        ("seven", None, None),
    ],
)
def test_the_answer_is_read_in_the_form_asked_for(response: str, form: str | None, answer: str | None) -> None:
    assert extract(response, form) == answer


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("18", "18.0"),
        ("18", "$18"),
        ("18", "\\$18.00"),
        ("18", "18 dollars"),
        ("$18", "18 dollars"),
        ("1000", "1,000"),
        ("-3", "−3"),
        ("-5", "-$5"),
        ("50%", "0.5"),
        ("50\\%", "50"),
        ("1/2", "\\dfrac{1}{2}"),
        ("0.125", "\\frac18"),
        ("1/3", "0.333333"),
        ("1000", "1 000"),
        ("1000", "1{,}000"),
        ("1000000", "1,000,000.0"),
        ("5 million", "5,000,000"),
        ("5", "0.005 thousand"),
        ("18", "US$18"),
        ("18", "18 €"),
        ("18 dollars", "18 USD"),
        ("0.5", "50 percent"),
        ("2 1/2", "2.5"),
        ("5/2", "2\\frac{1}{2}"),
        ("1200", "1.2e3"),
        ("0.003", "3E-3"),
        ("B", "option (B)"),
        ("90", "90^\\circ"),
        ("25", "25 \\text{ square meters}"),
        ("(B)", "B"),
        ("B", "\\text{(B)}"),
        ("B", "B. 12 apples"),
        ("Paris", "paris."),
        ("x+1", "x+1"),
    ],
)
def test_plain_answers_that_are_equal(truth: str, answer: str) -> None:
    assert same(truth, answer) is True


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("18", "19"),
        ("18", "1,8"),
        ("18", "-18"),
        ("5 cm", "5 m"),
        ("18 dollars", "18 cents"),
        ("1/3", "0.33"),
        ("1/3", "0.33333"),
        ("21/2", "2\\frac{1}{2}"),
        ("1200", "1.2e2"),
        ("18 dollars", "18 EUR"),
        ("5", "5 million"),
        ("18", "5 thousand"),
        ("B", "option C"),
        ("17", "16.9999"),
        ("B", "C"),
        ("B", "12"),
        ("B", "Because"),
        ("Paris", "London"),
    ],
)
def test_plain_answers_that_are_not(truth: str, answer: str) -> None:
    assert same(truth, answer) in ({False} if answer != "1,8" else {None})


@pytest.mark.parametrize("answer", ["5x", "18 or 20", "a dozen", "2^3", "x", "18 19", "not 18", "1/0"])
def test_the_rest_takes_mathematics(answer: str) -> None:
    assert same("18", answer) is None


@pytest.mark.parametrize(
    ("truth", "answer", "outcome"),
    [
        ("x+1", "1+x", Outcome.SATISFIED),
        ("3\\sqrt{2}", "\\sqrt{18}", Outcome.SATISFIED),
        ("2^{10}", "1024", Outcome.SATISFIED),
        ("4", "x = 4", Outcome.SATISFIED),
        ("18", "18 or 20", Outcome.VIOLATED),
        ("5", "5 thousand", Outcome.VIOLATED),
        ("(1,2)", "(2,1)", Outcome.VIOLATED),
        ("[0,1)", "[0,1]", Outcome.VIOLATED),
        ("7", "", Outcome.VIOLATED),
        ("7", "\\import{os}", Outcome.VIOLATED),
    ],
)
def test_mathematics(judge: MathJudge, truth: str, answer: str, outcome: Outcome) -> None:
    assert ask(judge, f"\\boxed{{{answer}}}", answer=truth).outcome == outcome


def test_a_right_answer_in_another_form_is_a_violation(judge: MathJudge) -> None:
    assert ask(judge, "The answer is 7.", answer="7", answer_form="final_answer") == Verdict(
        Outcome.VIOLATED, "no final answer in the form final_answer"
    )
    assert ask(judge, "#### 7", answer=7, answer_form="boxed").outcome == Outcome.VIOLATED
    assert ask(MathJudge(form="gsm8k"), "\\boxed{7}", answer="7").outcome == Outcome.VIOLATED
    assert ask(MathJudge(form="gsm8k"), "\\boxed{7}", answer="7", answer_form="boxed").outcome == Outcome.SATISFIED
    assert ask(judge, "7", answer="7") == Verdict(Outcome.VIOLATED, "no final answer")


def test_reasons_name_both_answers(judge: MathJudge) -> None:
    assert ask(judge, "#### 8", answer="7") == Verdict(Outcome.VIOLATED, "answer 8, expected 7")
    assert ask(judge, "#### 7", answer=7.0) == Verdict(Outcome.SATISFIED, "answer 7, expected 7.0")


def test_a_whole_solution_may_stand_for_the_rows_answer(judge: MathJudge) -> None:
    assert ask(judge, "The final answer is 7.", answer="3 + 4 = 7\n#### 7").outcome == Outcome.SATISFIED


def test_it_applies_to_rows_with_an_answer_and_without_tests(judge: MathJudge) -> None:
    assert ask(judge, "#### 7").outcome == Outcome.NOT_APPLICABLE
    assert ask(judge, "#### 7", answer="7", unit_tests=["assert f()"]).outcome == Outcome.NOT_APPLICABLE


def test_a_lenient_judge_takes_a_right_answer_in_another_form() -> None:
    judge = MathJudge(form="final_answer", lenient=True)
    assert ask(judge, "\\boxed{7}", answer="7").outcome == Outcome.SATISFIED
    assert ask(judge, "#### 7", answer="7", answer_form="boxed").outcome == Outcome.SATISFIED
    assert ask(judge, "\\boxed{7} The final answer is 8.", answer="7").outcome == Outcome.VIOLATED
    assert ask(judge, "It is 7", answer="7") == Verdict(Outcome.VIOLATED, "no final answer")


def test_a_row_says_how_far_a_decimal_stands_for_an_exact_answer(judge: MathJudge) -> None:
    for truth, answer in (("1/3", "0.33"), ("2/3", "0.667"), ("2/3", "0.66"), ("\\sqrt{2}", "1.41"), ("\\pi", "3.14")):
        assert ask(judge, f"#### {answer}", answer=truth).outcome == Outcome.VIOLATED
        assert ask(judge, f"#### {answer}", answer=truth, answer_decimals=2).outcome == Outcome.SATISFIED
        assert ask(judge, f"#### {answer[:-1]}9", answer=truth, answer_decimals=2).outcome == Outcome.VIOLATED
    assert ask(judge, "#### 0.3", answer="1/3", answer_decimals=2).outcome == Outcome.VIOLATED
    assert ask(MathJudge(decimals=2), "#### 0.33", answer="1/3").outcome == Outcome.SATISFIED


def test_an_endless_answer_is_a_violation(judge: MathJudge) -> None:
    assert ask(judge, "#### " + "7" * 5000, answer="7") == Verdict(
        Outcome.VIOLATED, "the final answer has 5000 characters"
    )


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"answer": "7", "answer_form": "box"}, "row gsm.jsonl:3: answer form 'box' is none of boxed, final_answer"),
        ({"answer": [7]}, r"row gsm.jsonl:3: metadata 'answer' must be a text or a number, not \[7\]"),
        ({"answer": True}, "must be a text or a number, not True"),
        ({"answer": "7", "answer_decimals": "2"}, "metadata 'answer_decimals' must be a number of digits, 1 or more"),
    ],
)
def test_bad_rows_are_named_when_they_are_loaded(judge: MathJudge, metadata: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        judge.check_prompt(Prompt("gsm.jsonl:3", "", metadata=metadata))
    judge.check_prompt(Prompt("gsm.jsonl:4", "", metadata={**metadata, "unit_tests": ["assert True"]}))


def test_bad_rows_and_settings_are_the_users_to_know(judge: MathJudge) -> None:
    with pytest.raises(UserError, match="row row: answer form 'box' is none of boxed, final_answer"):
        ask(judge, "7", answer="7", answer_form="box")
    with pytest.raises(UserError, match="math judge: answer form 'box'"):
        MathJudge(form="box")
    with pytest.raises(UserError, match=r"^MathJudge\.decimals is 0: it must be a whole number of at least 1, or"):
        MathJudge(decimals=0)
    with pytest.raises(UserError, match=r"^MathJudge\.timeout is 0: it must be a number above 0, in seconds$"):
        MathJudge(timeout=0)
    with pytest.raises(UserError, match="row row: metadata 'answer'"):
        ask(judge, "#### 7", answer=["7"])


def test_published_verdicts_on_gsm8k_are_reproduced() -> None:
    if not SOLUTIONS.exists():
        pytest.skip("optional data ../shared/data/gsm8k is absent")
    rows = [json.loads(line) for line in SOLUTIONS.read_text().splitlines()]
    judge = MathJudge(form="answer_line")
    samples = [Sample(Prompt("row", "", metadata={"answer": row["ground_truth"]}), row["solution"]) for row in rows]
    found = [verdict.outcome == Outcome.SATISFIED for verdict in judge.judge(samples)]
    judge.close()
    assert [i for i, row in enumerate(rows) if row["is_correct"] != found[i]] == []
