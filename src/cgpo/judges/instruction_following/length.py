"""Instructions on length: sentences, words, paragraphs."""

from __future__ import annotations

import re

from cgpo.judges.instruction_following.registry import checker, compare
from cgpo.judges.instruction_following.text import sentences, words


@checker("length_constraints:number_sentences")
def number_sentences(response: str, *, num_sentences: int, relation: str) -> bool:
    """Less than, or at least, so many sentences."""
    return compare(len(sentences(response)), relation, num_sentences)


@checker("length_constraints:number_words")
def number_words(response: str, *, num_words: int, relation: str) -> bool:
    """Less than, or at least, so many words."""
    return compare(len(words(response)), relation, num_words)


@checker("length_constraints:number_paragraphs")
def number_paragraphs(response: str, *, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs, divided by `***`; only before the first divider and after the last may be none."""
    paragraphs = [part.strip() for part in re.split(r"\s?\*\*\*\s?", response)]
    if not all(paragraphs[1:-1]):
        return False
    return sum(bool(paragraph) for paragraph in paragraphs) == num_paragraphs


@checker("length_constraints:nth_paragraph_first_word")
def nth_paragraph_first_word(response: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs, divided by an empty line, of which the n-th begins with a given word."""
    paragraphs = re.split(r"\n\n", response)
    filled = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    if filled != num_paragraphs or not 1 <= nth_paragraph <= filled:
        return False
    begin = paragraphs[nth_paragraph - 1].split()
    if not begin:
        return False
    word = re.split(r"[.,?!'\"]", begin[0].lstrip("'\""))[0]
    return word.lower() == first_word.lower()
