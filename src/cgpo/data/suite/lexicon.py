"""Every word and sentence the suite's grammar can produce, to train the tokenizer and to tell garble from language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from random import Random

from cgpo.data.suite.phrasing import dressed
from cgpo.data.suite.tasks import TASKS
from cgpo.types import Prompt

WORD = re.compile(r"[a-z]+")


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(text.lower())


def corpus() -> Iterator[str]:
    """Every question once with its answers in every style, and every dress of one of them."""
    for language in TASKS.values():
        for question in chain.from_iterable(language.questions()):
            prompt = Prompt("corpus", question.text, metadata=question.metadata)
            yield question.text
            yield from (answer.text for answer in language.candidates(prompt, Random(question.text)))
    yield from dressed("What is 3 + 4?")


@cache
def lexicon() -> frozenset[str]:
    """The suite's words, in lower case."""
    return frozenset(word for text in corpus() for word in words(text))
