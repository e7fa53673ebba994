r"""Extractors turn a column's value into what a judge reads; a YAML field names one with `extract:`.

Each takes the values of the columns named, in order, and raises `ValueError` with what is wrong with them; the caller
adds the file, the line and the field. An extractor of your own is named by its dotted path
(`my_package.my_module.my_function`) and follows the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

__all__ = [
    "boxed_answer",
    "chosen_answer",
    "first_turn",
    "gsm8k_answer",
    "gsm8k_solution",
    "ifeval_kwargs",
    "integer",
    "json",
    "labelled_choices",
    "lines",
    "strings",
    "trivia_answers",
    "yes_no",
]


def gsm8k_answer(answer: str) -> str:
    """Returns the number after the last `####`, without thousands separators: `"… #### 1,080"` gives `"1080"`."""
    _, mark, number = _text(answer).rpartition("####")
    number = number.strip().replace(",", "")
    if not mark or not number:
        raise ValueError("no answer after '####'")
    return number


def gsm8k_solution(answer: str) -> str:
    """Returns the worked solution before `####`, without calculator annotations such as `<<48/2=24>>`."""
    return re.sub(r"<<[^<>]*>>", "", _text(answer).rpartition("####")[0]).strip()


def boxed_answer(solution: str) -> str:
    r"""Returns the content of the last `\boxed{…}` of a MATH solution, with balanced braces."""
    text = _text(solution)
    start = text.rfind("\\boxed{")
    depth = 0
    for position in range(start + len("\\boxed"), len(text)) if start >= 0 else ():
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : position].strip()
    raise ValueError("no \\boxed{…} answer")


def json(text: str) -> Any:
    """Returns the value of a column that contains JSON, as CSV files do for lists."""
    try:
        return orjson.loads(_text(text))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error


def lines(text: str) -> list[str]:
    """Returns the lines of a text that are not blank."""
    return [line for line in _text(text).splitlines() if line.strip()]


def strings(values: list[str]) -> list[str]:
    """Returns the value as it is, after checking that it is a non-empty list of texts (unit tests, instruction ids)."""
    given: Any = values
    if not isinstance(given, list) or not values or not all(type(value) is str for value in values):
        raise ValueError("expected a list of texts, at least one")
    return values


def integer(value: int | str) -> int:
    """Returns a whole number, also from the text of a CSV file."""
    given: Any = value
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError("expected a whole number")
    return int(value)


def yes_no(text: str) -> bool:
    """Returns True for a completion that says yes, False for one that says no, ignoring spaces and case."""
    answer = _text(text).strip().lower()
    if answer not in {"yes", "no"}:
        raise ValueError("expected yes or no")
    return answer == "yes"


def ifeval_kwargs(kwargs: Sequence[Mapping[str, Any]] | str, instruction_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Returns IFEval's arguments, one mapping an instruction, without nulls, which Parquet adds for every name.

    Args:
        kwargs: a list of mappings, or the same as JSON.
        instruction_ids: as many instructions.
    """
    given: Any = json(kwargs) if isinstance(kwargs, str) else kwargs
    if len(given) != len(instruction_ids):
        raise ValueError(f"{len(given)} kwargs for {len(instruction_ids)} instructions")
    if not all(isinstance(arguments, Mapping | None) for arguments in given):
        raise ValueError("expected a list of objects")
    mappings: list[Mapping[str, Any]] = [arguments or {} for arguments in given]
    return [{name: value for name, value in arguments.items() if value is not None} for arguments in mappings]


def first_turn(conversation: Sequence[Mapping[str, Any]]) -> str:
    """Returns what the user says first in a list of `{role, content}` messages."""
    for message in conversation:
        if message["role"] == "user":
            return _text(message["content"])
    raise ValueError("no message of a user")


def trivia_answers(answer: Mapping[str, Any]) -> list[str]:
    """Returns TriviaQA's answer and its aliases, each once: `{"value": "Rome", "aliases": […]}`."""
    return strings(list(dict.fromkeys([answer["value"], *answer["aliases"]])))


def labelled_choices(choices: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns one line a choice, `A. …`, of ARC's `{"text": […], "label": […]}`."""
    return [f"{_text(label)}. {_text(text)}" for label, text in _labelled(choices)]


def chosen_answer(choices: Mapping[str, Sequence[str]], label: str) -> str:
    """Returns the choice of a label as `labelled_choices` writes it: `B. …`."""
    for known, text in _labelled(choices):
        if known == label:
            return f"{known}. {_text(text)}"
    raise ValueError(f"no choice is labelled {label!r}")


def _labelled(choices: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return list(zip(choices["label"], choices["text"], strict=True))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value
