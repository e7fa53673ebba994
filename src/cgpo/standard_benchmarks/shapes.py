"""Turns the columns of public files into those that the harness's tasks read; rows that have these are kept."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any, cast

from cgpo.data.files import Row, preview
from cgpo.standard_benchmarks.benchmark import Document

_ARC = re.compile(r"[^:]*: (?P<question>.*?)\n\nAnswer1: (?P<choices>.*?)\n\nAnswer format: .*", re.DOTALL)
_TRUTHFULQA = re.compile(r"Q: (?P<question>.*?)\nA: (?P<answer>.*)\nTrue:", re.DOTALL)
_PUNKT_KINDS = frozenset({"length_constraints:number_sentences", "change_case:capital_word_frequency"})
"""Instructions for which the harness's checker needs nltk's punkt model to split sentences."""


def math(rows: Sequence[Row]) -> tuple[list[Document], str]:
    r"""Reshapes MATH: a bare `answer` becomes the `\boxed{…}` solution that the harness takes the answer from."""
    documents: list[Document] = []
    for row in rows:
        solution = row.fields.get("solution")
        if solution is None:
            solution = f"\\boxed{{{row.text('answer')}}}"
        elif "\\boxed" not in solution:
            raise row.error(f"field 'solution': no \\boxed{{…}} answer; found {preview(solution)}")
        answer = row.fields.get("answer", "")
        documents.append({"problem": row.text("problem"), "solution": solution, "answer": answer})
    return documents, ""


def mbpp(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """Reshapes MBPP; the harness shows three tests of each row, so that every row must have three."""
    for row in rows:
        tests: Any = row.value("test_list")
        if not isinstance(tests, list) or len(cast("list[Any]", tests)) < 3:
            shown = preview(row.value("test_list"))
            raise row.error(f"field 'test_list': expected a list of at least three texts, found {shown}")
    return [{key: row.value(key) for key in ("text", "code", "test_list", "task_id")} for row in rows], ""


def arc(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """Reshapes ARC from the single text of LLM-Adapters' training set: a question, numbered choices, `answer2`."""
    return [dict(row.fields) if "choices" in row.fields else _arc(row) for row in rows], ""


def truthfulqa(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """Reshapes TruthfulQA from rows that each ask whether one answer is true; makes one document a question.

    Answers that rows call both true and false are dropped, and so are questions without a true and a false answer.
    """
    if all("mc2_targets" in row.fields for row in rows):
        return [dict(row.fields) for row in rows], ""
    answers: dict[str, dict[str, set[bool]]] = {}
    for row in rows:
        match = _TRUTHFULQA.fullmatch(row.text("prompt"))
        label = row.text("completion").strip()
        if match is None or label not in ("yes", "no"):
            raise row.error("expected a prompt 'Q: …\\nA: …\\nTrue:' with the completion yes or no")
        answers.setdefault(match["question"], {}).setdefault(match["answer"], set()).add(label == "yes")
    documents: list[Document] = []
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
    """Reshapes IFEval; without nltk's punkt model, rows for which the harness's checker needs it are left out."""
    documents = [{key: row.value(key) for key in ("key", "prompt", "instruction_id_list", "kwargs")} for row in rows]
    if _has_punkt():
        return documents, ""
    kept = [document for document in documents if not _PUNKT_KINDS & set(document["instruction_id_list"])]
    missing = len(documents) - len(kept)
    line = f"{missing} rows that nltk's punkt model is needed for: python -m nltk.downloader punkt_tab"
    return kept, line if missing else ""


def _has_punkt() -> bool:
    nltk_data: Any = importlib.import_module("nltk.data")
    try:
        nltk_data.find("tokenizers/punkt_tab")
    except LookupError:
        return False
    return True


def _arc(row: Row) -> Document:
    match = _ARC.fullmatch(row.text("instruction"))
    if match is None:
        raise row.error("field 'instruction': expected a question, 'Answer1: … Answer2: …' and the answer's format")
    choices = re.split(r" Answer\d+: ", match["choices"])
    labels = [str(number) for number in range(1, len(choices) + 1)]
    key = row.text("answer").removeprefix("answer")
    if key not in labels:
        raise row.error(
            f"field 'answer': expected answer1 to answer{len(choices)}, found {preview(row.value('answer'))}"
        )
    return {"question": match["question"], "choices": {"text": choices, "label": labels}, "answerKey": key}


def _choices(true: Sequence[str], false: Sequence[str]) -> dict[str, list[Any]]:
    return {"choices": [*true, *false], "labels": [1] * len(true) + [0] * len(false)}
