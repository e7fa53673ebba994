"""From the columns of public files to those that the harness's tasks read; rows that have these already stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cgpo.data.files import Row, describe
from cgpo.standard_benchmarks.benchmark import Document

_ARC = re.compile(r"[^:]*: (?P<question>.*?)\n\nAnswer1: (?P<choices>.*?)\n\nAnswer format: .*", re.DOTALL)
_TRUTHFULQA = re.compile(r"Q: (?P<question>.*?)\nA: (?P<answer>.*)\nTrue:", re.DOTALL)
_PUNKT_KINDS = frozenset({"length_constraints:number_sentences", "change_case:capital_word_frequency"})
"""The kinds of instruction that the harness's checker splits by nltk's punkt model."""


def math(rows: Sequence[Row]) -> tuple[list[Document], str]:
    r"""MATH: a bare `answer` becomes the `\boxed{…}` solution that the harness takes the answer from."""
    documents = []
    for row in rows:
        solution = row.fields.get("solution")
        if solution is None:
            solution = f"\\boxed{{{_text(row, 'answer')}}}"
        elif "\\boxed" not in solution:
            raise row.error(f"field 'solution': no \\boxed{{…}} answer; found {describe(solution)}")
        answer = row.fields.get("answer", "")
        documents.append({"problem": _text(row, "problem"), "solution": solution, "answer": answer})
    return documents, ""


def mbpp(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """MBPP: the harness shows three tests of a row, so that it has to have three."""
    for row in rows:
        tests = row.value("test_list")
        if not isinstance(tests, list) or len(tests) < 3:
            raise row.error(f"field 'test_list': expected a list of at least three texts, found {describe(tests)}")
    return [{key: row.value(key) for key in ("text", "code", "test_list", "task_id")} for row in rows], ""


def arc(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """ARC, from the single text of LLM-Adapters' training set: a question, numbered choices, `answer2`."""
    return [dict(row.fields) if "choices" in row.fields else _arc(row) for row in rows], ""


def truthfulqa(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """TruthfulQA's choices, from rows that ask of one answer whether it is true; one document a question.

    An answer that rows call both true and false is dropped, and so are questions without a true and a false answer.
    """
    if all("mc2_targets" in row.fields for row in rows):
        return [dict(row.fields) for row in rows], ""
    answers: dict[str, dict[str, set[bool]]] = {}
    for row in rows:
        match = _TRUTHFULQA.fullmatch(_text(row, "prompt"))
        label = _text(row, "completion").strip()
        if match is None or label not in ("yes", "no"):
            raise row.error("expected a prompt 'Q: …\\nA: …\\nTrue:' with the completion yes or no")
        answers.setdefault(match["question"], {}).setdefault(match["answer"], set()).add(label == "yes")
    documents = []
    for question, labels in answers.items():
        true = [answer for answer, label in labels.items() if label == {True}]
        false = [answer for answer, label in labels.items() if label == {False}]
        if true and false:
            documents.append(
                {
                    "question": question,
                    "mc1_targets": _choices(true[:1], false),
                    "mc2_targets": _choices(true, false),
                }
            )
    missing = len(answers) - len(documents)
    return documents, f"{missing} questions without both a true and a false answer" if missing else ""


def ifeval(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """IFEval; where nltk's punkt model is missing, rows that the harness's checker needs it for are left out."""
    documents = [{key: row.value(key) for key in ("key", "prompt", "instruction_id_list", "kwargs")} for row in rows]
    if _has_punkt():
        return documents, ""
    kept = [document for document in documents if not _PUNKT_KINDS & set(document["instruction_id_list"])]
    missing = len(documents) - len(kept)
    line = f"{missing} rows that nltk's punkt model is needed for: python -m nltk.downloader punkt_tab"
    return kept, line if missing else ""


def _has_punkt() -> bool:
    import nltk  # pyright: ignore[reportMissingImports]

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        return False
    return True


def _arc(row: Row) -> Document:
    match = _ARC.fullmatch(_text(row, "instruction"))
    if match is None:
        raise row.error("field 'instruction': expected a question, 'Answer1: … Answer2: …' and the answer's format")
    choices = re.split(r" Answer\d+: ", match["choices"])
    labels = [str(number) for number in range(1, len(choices) + 1)]
    key = _text(row, "answer").removeprefix("answer")
    if key not in labels:
        raise row.error(
            f"field 'answer': expected answer1 to answer{len(choices)}, found {describe(row.value('answer'))}"
        )
    return {"question": match["question"], "choices": {"text": choices, "label": labels}, "answerKey": key}


def _choices(true: Sequence[str], false: Sequence[str]) -> dict[str, list[Any]]:
    return {"choices": [*true, *false], "labels": [1] * len(true) + [0] * len(false)}


def _text(row: Row, column: str) -> str:
    value = row.value(column)
    if not isinstance(value, str):
        raise row.error(f"field '{column}': expected a text, found {describe(value)}")
    return value
