"""Cuts texts into sentences and words, and detects their language."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

import py3langid  # pyright: ignore[reportMissingTypeStubs]

_ABBREVIATIONS = (
    "Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\\.g|i\\.e|cf|al|approx|No|Inc|Ltd|Co|Corp|Dept|Gen|Col|Capt|Lt|Sgt|Rev|Hon"
)
_ENDS = re.compile(r"(?<![.!?])(?P<mark>[.!?]++)[\"'”’)\]]*+(?=\s|$)|[。！？।॥؟۔]+")
_NEXT = re.compile(r"\s*+(?P<first>\S)")
_LONGEST_ABBREVIATION = 12
_INITIAL = re.compile(r"(?:^|[\s.(])[A-Z]$")


def sentences(text: str) -> list[str]:
    """Cuts a text into sentences, which end at `.`, `!` or `?` before a space, but not after abbreviations."""
    found: list[str] = []
    start = 0
    for end in _ENDS.finditer(text):
        before = text[max(start, end.start() - _LONGEST_ABBREVIATION) : end.start()]
        dots = (end["mark"] or "!").strip(".") == ""
        if dots and end.end() < len(text) and (_abbreviated(before) or _goes_on(text, end.end())):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def words(text: str) -> list[str]:
    """Returns the runs of letters, digits and underscores."""
    return re.findall(r"\w+", text)


def tokens(text: str) -> list[str]:
    """Returns words with their dots and hyphens (`U.S.`, `well-known`), cut at apostrophes: `I'm` contains `I`."""
    return re.findall(r"\w[\w.&-]*", text)


def language(text: str) -> str | None:
    """Returns the ISO 639-1 code of the text's language, or `None` for a text without letters."""
    if not any(character.isalpha() for character in text):
        return None
    classify = cast("Callable[[str], tuple[object, float]]", py3langid.classify)  # pyright: ignore[reportUnknownMemberType]
    return str(classify(text)[0])


def _abbreviated(before: str) -> bool:
    return bool(re.search(rf"(?:^|[\s(])(?:{_ABBREVIATIONS})$", before) or _INITIAL.search(before))


def _goes_on(text: str, end: int) -> bool:
    following = _NEXT.match(text, end)
    return following is not None and following["first"].islower()
