"""The suite's tasks, its prompts for training and evaluation, the demonstrations that answer them, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from random import Random

from cgpo.data.source import PromptSplits
from cgpo.errors import UserError
from cgpo.suite.engagement import ENGAGEMENT
from cgpo.suite.general_chat import GENERAL_CHAT
from cgpo.suite.grammar import Question, TaskGrammar, all_phrasings, draw_candidate
from cgpo.suite.harmful_intent import HARMFUL_INTENT
from cgpo.suite.instruction_following import INSTRUCTION_FOLLOWING
from cgpo.suite.math_code import MATH_CODE
from cgpo.types import Prompt

TASKS: Mapping[str, TaskGrammar] = {
    grammar.name: grammar for grammar in (GENERAL_CHAT, INSTRUCTION_FOLLOWING, MATH_CODE, ENGAGEMENT, HARMFUL_INTENT)
}


def task_grammar(name: str) -> TaskGrammar:
    """Returns the grammar of a task.

    Raises:
        UserError: the suite has no such task.
    """
    if name not in TASKS:
        raise UserError(f"the suite has no task {name!r}; it has {', '.join(TASKS)}")
    return TASKS[name]


class SuiteSource:
    """Prompts of one task of the suite, each text once.

    Every question comes up equally often within its group, each time phrased anew: the questions of the held-out
    prompts are trained on in other phrasings.

    Args:
        task: one of `general_chat`, `instruction_following`, `math_code`, `engagement`, `harmful_intent`.
        train_size: the number of prompts to train on.
        held_out_size: the number of prompts kept for evaluation.
        seed: the seed of the prompts and their order.

    Raises:
        UserError: there is no such task, or a size is out of range.
    """

    def __init__(self, task: str, train_size: int = 2000, held_out_size: int = 500, seed: int = 0) -> None:
        if train_size < 1 or held_out_size < 0:
            raise UserError(f"{task}: train_size must be at least 1 and held_out_size at least 0")
        self.grammar = task_grammar(task)
        self.train_size, self.held_out_size, self.seed = train_size, held_out_size, seed

    def load(self) -> PromptSplits:
        """Generates the prompts, the same ones each time.

        Raises:
            UserError: the task has fewer prompts than were asked for.
        """
        wanted = self.train_size + self.held_out_size
        prompts = tuple(islice(self._prompts(), wanted))
        if len(prompts) < wanted:
            raise UserError(f"{self.grammar.name}: the suite has {len(prompts)} prompts, {wanted} were asked for")
        return PromptSplits(prompts[: self.train_size], prompts[self.train_size :])

    def _prompts(self) -> Iterator[Prompt]:
        name = self.grammar.name
        groups = [
            _phrased_in_rounds(questions, Random(f"{name}/{self.seed}/{i}"))
            for i, questions in enumerate(self.grammar.questions())
        ]
        for index, (text, question) in enumerate(_round_robin(groups)):
            prompt = Prompt(f"{name}/{self.seed}:{index}", text, metadata=question.metadata)
            yield _with_response(self.grammar, prompt)


def demonstrations(task: str, prompts: Sequence[Prompt], seed: int) -> list[tuple[Prompt, str]]:
    """Answers each prompt once, in a style drawn by the shares of the styles, for supervised fine-tuning to imitate.

    Args:
        task: the task of the prompts.
        prompts: prompts of a `SuiteSource` of this task.
        seed: the seed of styles and words.
    """
    grammar = task_grammar(task)
    answers: list[tuple[Prompt, str]] = []
    for prompt in prompts:
        random = Random(f"demonstration/{seed}/{prompt.text}")
        answers.append((prompt, draw_candidate(grammar.candidates(prompt, random), random).text))
    return answers


def _with_response(grammar: TaskGrammar, prompt: Prompt) -> Prompt:
    golden = grammar.golden_answer(prompt, Random(f"golden/{prompt.text}"))
    return Prompt(prompt.key, prompt.text, golden, prompt.metadata)


def _phrased_in_rounds(questions: Sequence[Question], random: Random) -> Iterator[tuple[str, Question]]:
    """Yields each question in turn, in a new order every round, never twice in the same phrasing."""
    phrasings = [random.sample(texts := all_phrasings(question.text), len(texts)) for question in questions]
    for round_index in range(min(map(len, phrasings))):
        for i in random.sample(range(len(questions)), len(questions)):
            yield phrasings[i][round_index], questions[i]


def _round_robin(groups: Sequence[Iterator[tuple[str, Question]]]) -> Iterator[tuple[str, Question]]:
    """Takes one question from each group in turn until one group is used up."""
    while True:
        turn = [next(group, None) for group in groups]
        if None in turn:
            return
        yield from (item for item in turn if item is not None)


WORD = re.compile(r"[a-z]+")


def words(text: str) -> list[str]:
    """Splits a text into its words, in lower case."""
    return WORD.findall(text.lower())


def corpus() -> Iterator[str]:
    """Yields every question once with its answers in every style, and one question in every phrasing."""
    for grammar in TASKS.values():
        for question in chain.from_iterable(grammar.questions()):
            prompt = Prompt("corpus", question.text, metadata=question.metadata)
            yield question.text
            yield from (answer.text for answer in grammar.candidates(prompt, Random(question.text)))
    yield from all_phrasings("What is 3 + 4?")


@cache
def lexicon() -> frozenset[str]:
    """Returns every word that the grammar can produce, in lower case, to tell garble from language."""
    return frozenset(word for text in corpus() for word in words(text))
