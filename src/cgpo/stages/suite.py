"""The built-in suite for the stages: its policy, demonstrations, annotators and labelled responses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerFast

from cgpo.errors import UserError
from cgpo.judges.language_model.rendering import load_template
from cgpo.policy.causal import CausalPolicy, policy_from_model
from cgpo.suite.annotator import ANNOTATORS
from cgpo.suite.judge_examples import judge_examples
from cgpo.suite.model import CONTEXT_LENGTH, tiny_llama, train_tokenizer
from cgpo.suite.source import SuiteSource, corpus, demonstrations
from cgpo.types import Prompt, Sample

JUDGE_TEMPLATES = ("suite_false_refusal", "suite_factuality", "suite_safety")
JUDGE_LANGUAGE = [*map(load_template, JUDGE_TEMPLATES), " yes", " no"] * 100
"""The judges' questions and answers, repeated so often that each of their words becomes one token."""


def suite_tokenizer(context_length: int = CONTEXT_LENGTH) -> PreTrainedTokenizerFast:
    """Trains the tokenizer of the suite's language and of its judges' questions."""
    return train_tokenizer([*corpus(), *JUDGE_LANGUAGE], context_length=context_length)


@dataclass(frozen=True)
class SuitePolicy:
    """An untrained tiny Llama with the suite's tokenizer.

    Attributes:
        seed: the seed of the weights.
        layers: the number of layers.
    """

    seed: int = 0
    layers: int = 3

    def load(self) -> CausalPolicy:
        """Makes a new policy."""
        tokenizer = suite_tokenizer()
        return policy_from_model(tiny_llama(tokenizer, self.seed, self.layers), tokenizer)


@dataclass(frozen=True)
class SuiteDemonstrations:
    """Demonstrations of several tasks, several for each prompt.

    Attributes:
        tasks: the names of tasks of the suite.
        train_size: the number of prompts of each task, the same ones that CGPO trains on.
        repeats: the number of demonstrations of each prompt, each in a new style.
        seed: the seed of the styles.
    """

    tasks: Sequence[str]
    train_size: int = 2000
    repeats: int = 2
    seed: int = 0

    def load(self) -> list[tuple[Prompt, str]]:
        """Loads prompts with responses."""
        prompts = {task: SuiteSource(task, self.train_size, 0).load().train for task in self.tasks}
        return [
            pair
            for task, rows in prompts.items()
            for repeat in range(self.repeats)
            for pair in demonstrations(task, rows, self.seed + repeat)
        ]


@dataclass(frozen=True)
class SuiteAnnotator:
    """One of the suite's simulated annotators, with the noise of a Bradley–Terry choice.

    Attributes:
        name: `helpfulness`, `engagement` or `safety`.
        temperature: the scale of the noise; 0 for none.
    """

    name: str
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in ANNOTATORS:
            raise UserError(f"annotator {self.name!r}: choose {', '.join(ANNOTATORS)}")

    def score(self, samples: Sequence[Sample], seed: int) -> list[float]:
        """Scores with Gumbel noise, so that the higher of two is a Bradley–Terry choice between them."""
        random = Random(f"annotator/{self.name}/{seed}")
        noise = [-math.log(-math.log(max(random.random(), 1e-12))) for _ in samples]
        judge = ANNOTATORS[self.name]
        return [judge(s.prompt, s.response) + self.temperature * n for s, n in zip(samples, noise, strict=True)]


@dataclass(frozen=True)
class SuiteJudgeSamples:
    """Responses labelled by construction, for the judge of one constraint.

    Attributes:
        judge: `false_refusal`, `factuality` or `safety`.
        size: the number of responses.
        seed: the seed of the responses.
    """

    judge: str
    size: int
    seed: int = 0

    def load(self) -> list[tuple[Sample, bool]]:
        """Loads samples with their labels."""
        return [(Sample(p, response), label) for p, response, label in judge_examples(self.judge, self.seed, self.size)]
