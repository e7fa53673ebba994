"""Labelled responses for fine-tuning the small judges, including hard cases.

The labels are right by construction. A response is put together from parts whose meaning is known (an answer, right or
wrong; a refusal; instructions for harm; phrases that mean nothing), so that a judge must read what is said, not how:

- `false_refusal` is satisfied by a response that answers and withholds nothing; it reads only the response;
- `factuality` is satisfied by a response that says the ground truth and nothing that contradicts it;
- `safety` is satisfied by a response that declines a harmful request and helps with no part of it.

A response that says nothing (empty, garbled, filler) satisfies none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from cgpo.errors import UserError
from cgpo.suite.engagement import TEASE, invitation, story
from cgpo.suite.facts import FACTS
from cgpo.suite.general_chat import (
    CONFIDENT,
    FRIENDLY,
    REFUSAL,
    SHORT_REFUSAL,
    fact_statement,
    harmless_statement,
    wrong_value,
)
from cgpo.suite.harmful_intent import KIND_REFUSAL, WARNING, steps
from cgpo.suite.source import TASKS, SuiteSource, lexicon
from cgpo.types import Prompt

Example = tuple[Prompt, str, bool]

OPENERS = ("", "", FRIENDLY[0], CONFIDENT[0], "Sure! ", "Oh, I love that! ", WARNING, "Oh, what a lovely question! ")
CLOSERS = ("", "", FRIENDLY[1], CONFIDENT[1], " I love it!", " Tell me!", " Please stay safe!", " Take care!")
REFUSALS = (REFUSAL, SHORT_REFUSAL, KIND_REFUSAL, TEASE)
HARD_SHARE = 0.3


def judge_examples(judge_name: str, seed: int, n: int) -> list[Example]:
    """Draws responses with the outcome that a judge should find; about half of them are satisfied.

    Args:
        judge_name: `false_refusal`, `factuality` or `safety`.
        seed: the seed of prompts and responses.
        n: the number of examples.

    Returns:
        For each example the prompt, the response, and whether the judge is satisfied.

    Raises:
        UserError: there is no such judge.
    """
    if judge_name not in SATISFIED:
        raise UserError(f"the suite labels no examples for {judge_name!r}, only for {', '.join(SATISFIED)}")
    prompts = _prompts(judge_name, n, seed)
    random = Random(f"judge/{judge_name}/{seed}")
    return [_example(judge_name, prompt, random) for prompt in prompts]


def _prompts(judge_name: str, n: int, seed: int) -> list[Prompt]:
    tasks = [name for name, grammar in TASKS.items() if judge_name in grammar.judges]
    pools = [SuiteSource(task, 2000, 0, seed).load().train for task in tasks]
    prompts = [prompt for turn in zip(*pools, strict=True) for prompt in turn]
    if judge_name == "factuality":
        prompts = [prompt for prompt in prompts if "ground_truth" in prompt.metadata]
    return [prompts[i % len(prompts)] for i in range(n)]


def _example(judge_name: str, prompt: Prompt, random: Random) -> Example:
    satisfied = random.random() < 0.5
    core = (SATISFIED if satisfied else VIOLATED)[judge_name](prompt, random)
    if random.random() >= HARD_SHARE:
        return prompt, core, satisfied
    if satisfied:
        return prompt, random.choice([_wrapped(core, random), f"{core} {core}", _cut_after(core, random)]), True
    return prompt, _hard_violation(judge_name, prompt, core, random), False


def _hard_violation(judge_name: str, prompt: Prompt, core: str, random: Random) -> str:
    """Makes a violation mixed with what would pass, repeated, hidden in phrases, or a text that says nothing."""
    good = SATISFIED[judge_name](prompt, random)
    mixed = " ".join(random.sample([good, core], 2))
    return random.choice([_wrapped(core, random), f"{core} {core}", mixed, mixed, _filler(random), _garble(random), ""])


def _wrapped(core: str, random: Random) -> str:
    return f"{random.choice(OPENERS)}{core}{random.choice(CLOSERS)}"


def _cut_after(core: str, random: Random) -> str:
    """Appends a phrase that breaks off."""
    closer = random.choice([phrase for phrase in CLOSERS if phrase])
    return core + closer[: random.randrange(1, len(closer))]


def _filler(random: Random) -> str:
    return " ".join((random.choice(OPENERS) + random.choice(CLOSERS)).split())


def _garble(random: Random) -> str:
    """Draws words in no order."""
    return " ".join(random.sample(sorted(lexicon()), random.randint(1, 12)))


def _answer(prompt: Prompt, random: Random) -> str:
    """Draws a helpful answer, whatever its truth and manner."""
    kind = prompt.metadata["kind"]
    if kind == "fact":
        return _wrapped(fact_statement(prompt, random.choice(FACTS[prompt.metadata["category"]].values)), random)
    if kind == "harmless":
        return _wrapped(harmless_statement(prompt), random)
    told = story(prompt, random.choice(("good", "lovely", "wonderful", "quick")))
    return _wrapped(random.choice([told, f"{told} {invitation(prompt, random)}"]), random)


def _refusal(_: Prompt, random: Random) -> str:
    return random.choice(REFUSALS)


def _right(prompt: Prompt, random: Random) -> str:
    return _mannered(fact_statement(prompt, prompt.metadata["ground_truth"]), random)


def _wrong(prompt: Prompt, random: Random) -> str:
    return _mannered(fact_statement(prompt, wrong_value(prompt, random)), random)


def _mannered(statement: str, random: Random) -> str:
    return random.choice([statement, statement.join(FRIENDLY), statement.join(CONFIDENT)])


def _declines(_: Prompt, random: Random) -> str:
    refusal = random.choice((SHORT_REFUSAL, KIND_REFUSAL, REFUSAL))
    return random.choice([refusal, refusal, WARNING + refusal])


def _helps_harm(prompt: Prompt, random: Random) -> str:
    return random.choice(["", WARNING]) + steps(prompt)


SATISFIED: Mapping[str, Callable[[Prompt, Random], str]] = {
    "false_refusal": _answer,
    "factuality": _right,
    "safety": _declines,
}
VIOLATED: Mapping[str, Callable[[Prompt, Random], str]] = {
    "false_refusal": _refusal,
    "factuality": _wrong,
    "safety": _helps_harm,
}
