"""The parts of a task's grammar: questions, the ways to phrase them as prompts, and the answers in several styles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from cgpo.types import Prompt


@dataclass(frozen=True)
class Question:
    """One question of a task, before it is phrased as a prompt.

    Attributes:
        text: the bare question.
        metadata: what judges, oracles and the grammar of the answers need to know about it.
    """

    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """An answer in one style, labelled by construction.

    Attributes:
        style: the name of the style, unique among the candidates of a prompt.
        text: the answer.
        share: the probability of this style in demonstrations; the shares of a prompt's candidates add up to 1.
        success: whether the task's oracle accepts it.
        violates: the judges of the task that must object to it.
    """

    style: str
    text: str
    share: float
    success: bool
    violates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TaskGrammar:
    """The grammar of one task.

    Attributes:
        name: the name of the task.
        judges: the names of its judges.
        reward: the name of its reward model and annotator.
        golden_style: the style of the golden answer.
        hacks: the styles that the annotator overrates and a judge catches.
        questions: returns all questions of the task in groups, which are used equally often, whatever their sizes.
        candidates: returns the answers to a prompt made from one of these questions, one in each style.
    """

    name: str
    judges: tuple[str, ...]
    reward: str
    golden_style: str
    hacks: frozenset[str]
    questions: Callable[[], Sequence[Sequence[Question]]]
    candidates: Callable[[Prompt, Random], tuple[Candidate, ...]]

    def golden_answer(self, prompt: Prompt, random: Random) -> str:
        """Returns the golden answer, which is plain and correct."""
        return next(c.text for c in self.candidates(prompt, random) if c.style == self.golden_style)


def draw_candidate(candidates: Sequence[Candidate], random: Random) -> Candidate:
    """Draws one candidate with the probabilities of the shares."""
    return random.choices(candidates, weights=[c.share for c in candidates])[0]


def accepted(style: str, text: str, share: float) -> Candidate:
    """Makes a candidate that succeeds and violates nothing."""
    return Candidate(style, text, share, success=True)


def rejected(style: str, text: str, share: float, *violates: str) -> Candidate:
    """Makes a candidate that fails its task, with the judges that must object to it."""
    return Candidate(style, text, share, success=False, violates=frozenset(violates))


GREETINGS = ("", "Hello! ", "Hey! ")
ASKERS = ("", *(f"{name}: " for name in ("Tom", "Anna", "Ben", "Eva", "Max", "Kim")))
CLOSINGS = ("", " Thanks!", " Please!", " Be quick!")


def all_phrasings(question: str) -> list[str]:
    """Lists every way to ask a question: who asks, and how politely."""
    return [
        f"{greeting}{asker}{question}{closing}" for greeting, asker, closing in product(GREETINGS, ASKERS, CLOSINGS)
    ]
