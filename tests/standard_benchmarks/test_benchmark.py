"""A benchmark's file becomes what the harness's task reads."""

import json
from pathlib import Path

import pytest

from cgpo.data.files import Row
from cgpo.errors import UserError
from cgpo.standard_benchmarks import Benchmark
from cgpo.standard_benchmarks.shapes import arc, math, mbpp, truthfulqa


def row(**fields: object) -> Row:
    return Row("x.jsonl", 7, "data/x.jsonl line 7", fields)


def test_rows_with_the_tasks_own_columns_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "#### 2"}) + "\n")
    documents = Benchmark(["gsm8k"], "rows.jsonl").read(str(tmp_path))
    assert documents.rows == [{"question": "1 + 1?", "answer": "#### 2"}]
    assert documents.left_out == ""


def test_what_cannot_be_a_benchmark_is_said() -> None:
    with pytest.raises(UserError, match=r"tasks is 'gsm8k': it must be a list of the harness's names"):
        Benchmark("gsm8k", "rows.jsonl")
    with pytest.raises(UserError, match=r"local_tasks is \[\]"):
        Benchmark(["gsm8k"], "rows.jsonl", local_tasks=[])
    with pytest.raises(UserError, match=r"reshape: 'cgpo\.standard_benchmarks\.shapes\.arcs' cannot be imported"):
        Benchmark(["gsm8k"], "rows.jsonl", reshape="cgpo.standard_benchmarks.shapes.arcs")
    with pytest.raises(UserError, match=r"reshape: 'cgpo\.standard_benchmarks\.shapes\._ARC' is not a function"):
        Benchmark(["gsm8k"], "rows.jsonl", reshape="cgpo.standard_benchmarks.shapes._ARC")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(UserError, match=r"rows\.jsonl: none of its 0 rows can be asked"):
        Benchmark(["gsm8k"], "rows.jsonl").read(str(tmp_path))


def test_a_bare_answer_of_math_becomes_a_boxed_solution() -> None:
    given = [row(problem="2x = 1", answer="\\frac{1}{2}"), row(problem="x = 1", solution="So $\\boxed{1}$.")]
    assert math(given)[0] == [
        {"problem": "2x = 1", "solution": "\\boxed{\\frac{1}{2}}", "answer": "\\frac{1}{2}"},
        {"problem": "x = 1", "solution": "So $\\boxed{1}$.", "answer": ""},
    ]
    with pytest.raises(UserError, match=r"x\.jsonl line 7: field 'solution': no \\boxed"):
        math([row(problem="x", solution="1")])


def test_mbpp_wants_the_three_tests_it_shows() -> None:
    tests = ["assert f() == 1", "assert f() == 1", "assert f() == 1"]
    whole = {"text": "t", "code": "c", "test_list": tests, "task_id": 1}
    assert mbpp([row(**whole, test_setup_code="")])[0] == [whole]
    with pytest.raises(UserError, match="at least three texts"):
        mbpp([row(**{**whole, "test_list": tests[:2]})])


def test_arc_is_taken_apart() -> None:
    text = (
        "Please choose the correct answer to the question: Which is hot: ice or fire?\n\n"
        "Answer1: ice Answer2: the fire, I say Answer3: both\n\nAnswer format: answer1/answer2/answer3"
    )
    (found,), _ = arc([row(instruction=text, answer="answer2")])
    assert found == {
        "question": "Which is hot: ice or fire?",
        "choices": {"text": ["ice", "the fire, I say", "both"], "label": ["1", "2", "3"]},
        "answerKey": "2",
    }
    own = {"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"}
    assert arc([row(**own)])[0] == [own]
    with pytest.raises(UserError, match="expected answer1 to answer3, found str 'answer4'"):
        arc([row(instruction=text, answer="answer4")])
    with pytest.raises(UserError, match="expected a question"):
        arc([row(instruction="Which?", answer="answer1")])


def test_truthfulqa_gathers_the_answers_of_a_question() -> None:
    said = [
        ("Why?", "Because.", "yes"),
        ("Why?", "It is magic.\nReally.", "no"),
        ("Why?", "Who knows.", "yes"),
        ("Why?", "It depends.", "yes"),
        ("Why?", "It depends.", "no"),  # both: it does not count
        ("Why?", "Because.", "yes"),
        ("How?", "Somehow.", "yes"),  # nothing false
    ]
    rows = [row(prompt=f"Q: {q}\nA: {a}\nTrue:", completion=f" {label}") for q, a, label in said]
    documents, left_out = truthfulqa(rows)
    assert documents == [
        {
            "question": "Why?",
            "mc1_targets": {"choices": ["Because.", "It is magic.\nReally."], "labels": [1, 0]},
            "mc2_targets": {"choices": ["Because.", "Who knows.", "It is magic.\nReally."], "labels": [1, 1, 0]},
        }
    ]
    assert left_out == "1 questions without both a true and a false answer"
    with pytest.raises(UserError, match="with the completion yes or no"):
        truthfulqa([row(prompt="Q: Why?\nA: Because.\nTrue:", completion="maybe")])
