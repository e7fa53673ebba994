"""Every word and sentence the suite's grammar can produce, to train the tokenizer and to tell garble from language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from random import Random

from cgpo.errors import UserError
from cgpo.suite.engagement import ENGAGEMENT
from cgpo.suite.general_chat import GENERAL_CHAT
from cgpo.suite.harmful_intent import HARMFUL_INTENT
from cgpo.suite.instruction_following import INSTRUCTION_FOLLOWING
from cgpo.suite.language import TaskLanguage, dressed
from cgpo.suite.math_code import MATH_CODE
from cgpo.types import Prompt

TASKS: Mapping[str, TaskLanguage] = {
    language.name: language for language in (GENERAL_CHAT, INSTRUCTION_FOLLOWING, MATH_CODE, ENGAGEMENT, HARMFUL_INTENT)
}


def task_language(name: str) -> TaskLanguage:
    """The grammar of a task."""
    if name not in TASKS:
        raise UserError(f"the suite has no task {name!r}; it has {', '.join(TASKS)}")
    return TASKS[name]


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
