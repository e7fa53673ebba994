"""Instructions on words and letters that must, may or must not stand in the response, and on its language and case."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cgpo.judges.instruction_following.registry import checker, compare
from cgpo.judges.instruction_following.text import language, tokens


@checker("keywords:existence")
def existence(response: str, *, keywords: Sequence[str]) -> bool:
    """Every keyword occurs, in whatever case."""
    return all(keyword.lower() in response.lower() for keyword in keywords)


@checker("keywords:frequency")
def frequency(response: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword occurs less than, or at least, so many times."""
    return compare(response.lower().count(keyword.lower()), relation, frequency)


@checker("keywords:forbidden_words")
def forbidden_words(response: str, *, forbidden_words: Sequence[str]) -> bool:
    """None of the words occurs as a word of its own."""
    return not any(re.search(rf"\b{re.escape(word)}\b", response, re.IGNORECASE) for word in forbidden_words)


@checker("keywords:letter_frequency")
def letter_frequency(response: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The letter occurs less than, or at least, so many times, in whatever case."""
    return compare(response.lower().count(letter.lower()), let_relation, let_frequency)


@checker("language:response_language")
def response_language(response: str, *, language: str) -> bool:
    """The response is in the language with that ISO 639-1 code; one without letters is in any."""
    return _is_in(response, language)


@checker("change_case:english_capital")
def english_capital(response: str) -> bool:
    """English, in capital letters only."""
    return response.isupper() and _is_in(response.lower(), "en")


@checker("change_case:english_lowercase")
def english_lowercase(response: str) -> bool:
    """English, in small letters only."""
    return response.islower() and _is_in(response, "en")


@checker("change_case:capital_word_frequency")
def capital_word_frequency(response: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Less than, or at least, so many words are all in capitals."""
    return compare(sum(token.isupper() for token in tokens(response)), capital_relation, capital_frequency)


@checker("punctuation:no_comma")
def no_comma(response: str) -> bool:
    """No comma at all."""
    return "," not in response


def _is_in(response: str, code: str) -> bool:
    return language(response) in (code, None)
