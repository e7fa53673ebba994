"""How a question is dressed up as a prompt: who asks, and how politely."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from cgpo.types import Prompt


@dataclass(frozen=True)
class Question:
    """One thing that can be asked of a task, before it is dressed up as a prompt.

    Attributes:
        text: the bare question.
        metadata: what judges, oracles and the answers' grammar need to know of it.
    """

    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """An answer in one style, with its labels by construction.

    Attributes:
        style: name of the style, unique among the candidates of a prompt.
        text: the answer.
        share: how often the demonstrations use this style; the shares of a prompt's candidates sum to 1.
        success: the task's oracle accepts it.
        violates: the judges of the task that must object to it.
    """

    style: str
    text: str
    share: float
    success: bool
    violates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TaskLanguage:
    """The grammar of one task.

    Attributes:
        name: the task.
        judges: its judges.
        reward: its reward model and annotator.
        plain: the style of the golden answer.
        hack: the styles that the annotator overrates and a judge catches.
        questions: all questions of the task; groups are drawn from equally often, whatever their sizes.
        candidates: the answers to a prompt made of one of these questions, one a style.
    """

    name: str
    judges: tuple[str, ...]
    reward: str
    plain: str
    hack: frozenset[str]
    questions: Callable[[], Sequence[Sequence[Question]]]
    candidates: Callable[[Prompt, Random], tuple[Candidate, ...]]

    def plain_answer(self, prompt: Prompt, random: Random) -> str:
        """The golden answer: plain and correct."""
        return next(c.text for c in self.candidates(prompt, random) if c.style == self.plain)


def drawn(candidates: Sequence[Candidate], random: Random) -> Candidate:
    """One candidate, drawn by the shares."""
    return random.choices(candidates, weights=[c.share for c in candidates])[0]


def accepted(style: str, text: str, share: float) -> Candidate:
    """A candidate that succeeds and violates nothing."""
    return Candidate(style, text, share, success=True)


def rejected(style: str, text: str, share: float, *violates: str) -> Candidate:
    """A candidate that fails its task, and the judges that must object to it."""
    return Candidate(style, text, share, success=False, violates=frozenset(violates))


GREETINGS = ("", "Hello! ", "Hey! ")
ASKERS = ("", *(f"{name}: " for name in ("Tom", "Anna", "Ben", "Eva", "Max", "Kim")))
CLOSINGS = ("", " Thanks!", " Please!", " Be quick!")


def dressed(question: str) -> list[str]:
    """Every way to ask a question."""
    return [
        f"{greeting}{asker}{question}{closing}" for greeting, asker, closing in product(GREETINGS, ASKERS, CLOSINGS)
    ]
