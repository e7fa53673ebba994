"""Exact checks of the instructions the suite uses, independent of the judge's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Arguments = Mapping[str, Any]


def _contains(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _ends(text: str, arguments: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(arguments["end_phrase"].lower())


def _quoted(text: str, _: Arguments) -> bool:
    stripped = text.strip()
    return len(stripped) > 1 and stripped.startswith('"') and stripped.endswith('"')


def _has_keywords(text: str, arguments: Arguments) -> bool:
    return all(_contains(text, word) for word in arguments["keywords"])


def _avoids_words(text: str, arguments: Arguments) -> bool:
    return not any(_contains(text, word) for word in arguments["forbidden_words"])


def _is_short(text: str, arguments: Arguments) -> bool:
    return len(re.findall(r"\w+", text)) < arguments["num_words"]


CHECKS: Mapping[str, Callable[[str, Arguments], bool]] = {
    "change_case:english_lowercase": lambda text, _: text.islower(),
    "change_case:english_capital": lambda text, _: text.isupper(),
    "punctuation:no_comma": lambda text, _: "," not in text,
    "startend:end_checker": _ends,
    "keywords:existence": _has_keywords,
    "length_constraints:number_words": _is_short,
    "keywords:forbidden_words": _avoids_words,
    "startend:quotation": _quoted,
}


def disobeyed(text: str, metadata: Mapping[str, Any]) -> list[str]:
    """The instructions of a row that a text does not follow."""
    pairs = zip(metadata["instruction_id_list"], metadata["kwargs"], strict=True)
    return [identifier for identifier, arguments in pairs if not CHECKS[identifier](text, arguments)]
