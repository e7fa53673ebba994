"""Prompts from files and from rows in memory."""

import json
from pathlib import Path
from typing import Any

import pytest

import cgpo

ROWS = [{"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5", "level": 1}]


def test_rows_in_memory_and_in_a_file_are_the_same_but_for_their_keys(tmp_path: Path) -> None:
    file = tmp_path / "sums" / "train.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (in_memory,), (in_file,) = cgpo.read_prompts(ROWS), cgpo.read_prompts(file)
    assert (in_memory.key, in_file.key) == ("rows:1", "sums/train.jsonl:1")
    assert in_memory.text == in_file.text == "What is 2 + 3?"
    assert in_memory.metadata == in_file.metadata == {"answer": "2 + 3 = 5\n#### 5", "level": 1}


def test_templates_metadata_and_golden_responses() -> None:
    (prompt,) = cgpo.read_prompts(
        ROWS,
        template="{question} ({points} points)",
        columns={"points": {"column": "level"}},
        metadata={"answer": {"column": "answer", "extract": "gsm8k_answer"}},
        response="answer",
    )
    assert prompt.text == "What is 2 + 3? (1 points)"
    assert prompt.metadata == {"answer": "5"}
    assert prompt.response == "2 + 3 = 5\n#### 5"
    (named,) = cgpo.read_prompts(ROWS, metadata=["level"])
    assert named.metadata == {"level": 1}


def test_rows_may_lack_what_nobody_named() -> None:
    first, second = cgpo.read_prompts([{"prompt": "a", "answer": "1"}, {"prompt": "b"}])
    assert (first.metadata, second.metadata) == ({"answer": "1"}, {"answer": None})


def test_some_rows() -> None:
    rows = [{"prompt": f"p{n}", "kind": "odd" if n % 2 else "even"} for n in range(10)]
    assert [p.text for p in cgpo.read_prompts(rows, where={"kind": "odd"}, limit=2)] == ["p1", "p3"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": [{"x": 1}]}, r'name the column of the prompt\'s text, template="\{NAME\}"; choose x'),
        ({"rows": "none.jsonl"}, "none.jsonl: no such file"),
        ({"rows": []}, "there are no rows in rows"),
        ({"rows": 3}, "rows is int: it must be a path, or a list of mappings"),
        ({"rows": [3]}, "row 1: expected an object with named fields"),
        ({"template": "{q}"}, r"no column is given for \['q'\]"),
        ({"metadata": ["z"]}, "row 1: no field 'z'; found: question, answer, level"),
        ({"where": {"level": 3}}, "none of the 1 rows is taken"),
        ({"conversation": "question", "template": "{question}"}, "either a conversation, or a template"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(cgpo.UserError, match=message):
        cgpo.read_prompts(**{"rows": ROWS, **given})
