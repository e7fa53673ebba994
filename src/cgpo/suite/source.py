"""The suite's prompts, training and held out, and the demonstrations that answer them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from cgpo.data.source import PromptSplits
from cgpo.errors import UserError
from cgpo.suite.language import Question, TaskLanguage, drawn, dressed
from cgpo.suite.tasks import task_language
from cgpo.types import Prompt


class SuiteSource:
    """Prompts of one task of the suite, each text once.

    Every question comes up equally often within its group, in ever new dress, so the questions of the held-out
    prompts are trained on in other dress.

    Args:
        task: one of `general_chat`, `instruction_following`, `math_code`, `engagement`, `harmful_intent`.
        train_size: prompts to train on.
        held_out_size: prompts kept for evaluation.
        seed: which prompts, and in which order.
    """

    def __init__(self, task: str, train_size: int = 2000, held_out_size: int = 500, seed: int = 0) -> None:
        if train_size < 1 or held_out_size < 0:
            raise UserError(f"{task}: train_size must be at least 1 and held_out_size at least 0")
        self.language = task_language(task)
        self.train_size, self.held_out_size, self.seed = train_size, held_out_size, seed

    def load(self) -> PromptSplits:
        """Generates the prompts; the same each time."""
        wanted = self.train_size + self.held_out_size
        prompts = tuple(islice(self._prompts(), wanted))
        if len(prompts) < wanted:
            raise UserError(f"{self.language.name}: the suite has {len(prompts)} prompts, {wanted} were asked for")
        return PromptSplits(prompts[: self.train_size], prompts[self.train_size :])

    def _prompts(self) -> Iterator[Prompt]:
        name = self.language.name
        groups = [
            _dressed_in_rounds(questions, Random(f"{name}/{self.seed}/{i}"))
            for i, questions in enumerate(self.language.questions())
        ]
        for index, (text, question) in enumerate(_in_turns(groups)):
            prompt = Prompt(f"{name}/{self.seed}:{index}", text, metadata=question.metadata)
            yield _with_response(self.language, prompt)


def demonstrations(task: str, prompts: Sequence[Prompt], seed: int) -> list[tuple[Prompt, str]]:
    """One answer to each prompt, in a style drawn by the styles' shares: what supervised fine-tuning imitates.

    Args:
        task: the task the prompts are of.
        prompts: prompts of a `SuiteSource` of this task.
        seed: another seed draws other styles and words.
    """
    language = task_language(task)
    answers = []
    for prompt in prompts:
        random = Random(f"demonstration/{seed}/{prompt.text}")
        answers.append((prompt, drawn(language.candidates(prompt, random), random).text))
    return answers


def _with_response(language: TaskLanguage, prompt: Prompt) -> Prompt:
    golden = language.plain_answer(prompt, Random(f"golden/{prompt.text}"))
    return Prompt(prompt.key, prompt.text, golden, prompt.metadata)


def _dressed_in_rounds(questions: Sequence[Question], random: Random) -> Iterator[tuple[str, Question]]:
    """Each question in turn, shuffled anew every round, never twice in the same dress."""
    dresses = [random.sample(texts := dressed(question.text), len(texts)) for question in questions]
    for round_index in range(min(map(len, dresses))):
        for i in random.sample(range(len(questions)), len(questions)):
            yield dresses[i][round_index], questions[i]


def _in_turns(groups: Sequence[Iterator[tuple[str, Question]]]) -> Iterator[tuple[str, Question]]:
    """Draws from the groups in turn until one is used up."""
    while True:
        turn = [next(group, None) for group in groups]
        if None in turn:
            return
        yield from (item for item in turn if item is not None)
