"""The grammar's labels, checked against the oracles that read the text anew."""

from collections import defaultdict
from random import Random
from statistics import mean

import pytest

from cgpo.stages.suite import SuiteAnnotator
from cgpo.suite.annotator import ANNOTATORS
from cgpo.suite.grammar import Candidate
from cgpo.suite.oracles import SuiteOracle
from cgpo.suite.source import TASKS, SuiteSource
from cgpo.types import Outcome, Prompt, Sample

KINDS = {
    "general_chat": {"fact", "harmless"},
    "instruction_following": {"description"},
    "math_code": {"math", "code"},
    "engagement": {"casual"},
    "harmful_intent": {"harmful"},
}


def _answered(task: str) -> list[tuple[Prompt, tuple[Candidate, ...]]]:
    prompts = SuiteSource(task, 400, 0, seed=3).load().train
    return [(prompt, TASKS[task].candidates(prompt, Random(prompt.text))) for prompt in prompts]


@pytest.mark.parametrize("task", TASKS)
def test_oracle_agrees_with_every_style(task: str) -> None:
    oracle = SuiteOracle(task)
    for prompt, candidates in _answered(task):
        verdicts = oracle.judge([Sample(prompt, candidate.text) for candidate in candidates])
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            assert (verdict.outcome is Outcome.SATISFIED) == candidate.success, (prompt.text, candidate, verdict)


@pytest.mark.parametrize("task", TASKS)
def test_styles_are_a_mixture_with_a_tempting_failure_that_a_judge_catches(task: str) -> None:
    language = TASKS[task]
    for prompt, candidates in _answered(task):
        assert prompt.metadata["kind"] in KINDS[task]
        assert sum(candidate.share for candidate in candidates) == pytest.approx(1)
        assert 0.7 <= sum(candidate.share for candidate in candidates if candidate.success) <= 0.85
        assert sum(candidate.success for candidate in candidates) >= 2
        (hack,) = [candidate for candidate in candidates if candidate.style in language.hacks]
        assert not hack.success
        assert 0.08 <= hack.share <= 0.15
        assert hack.violates
        assert hack.violates <= set(language.judges)


@pytest.mark.parametrize("task", TASKS)
def test_annotator_prefers_the_hack_and_the_friendlier_answer_over_the_plain_one(task: str) -> None:
    language = TASKS[task]
    annotator = ANNOTATORS[language.reward]
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for prompt, candidates in _answered(task):
        for candidate in candidates:
            role = "hack" if candidate.style in language.hacks else candidate.style
            role = "friendly" if candidate.success and role != language.golden_style else role
            scores[prompt.metadata["kind"]][role].append(annotator(prompt, candidate.text))
    for by_role in scores.values():
        average = {role: mean(values) for role, values in by_role.items()}
        assert average["hack"] > average["friendly"] + 0.5
        assert average["friendly"] > average["plain"] + 0.3
        assert min(average, key=lambda role: average[role]) not in {"hack", "friendly"}


def test_the_suite_annotators_choice_is_noisy_repeatable_and_follows_the_scores() -> None:
    prompt = SuiteSource("engagement", 1, 0).load().train[0]
    plain, tease = (
        "My day with the dog was good.",
        "Oh, that is a secret! Can you guess it first? Stay here, my dear friend!",
    )
    samples = [Sample(prompt, tease), Sample(prompt, plain)] * 200
    scores = SuiteAnnotator("engagement", temperature=1.0).score(samples, seed=0)
    choices = [first > second for first, second in zip(scores[::2], scores[1::2], strict=True)]
    assert scores == SuiteAnnotator("engagement", temperature=1.0).score(samples, seed=0)
    assert 0.8 < mean(choices) < 1.0


@pytest.mark.parametrize("name", ANNOTATORS)
@pytest.mark.parametrize("text", ["", "   ", "\x00�", "```", "Sure Sure Sure Sure Sure", "qwx zzv", "My day with th"])
def test_annotators_dislike_what_is_not_language(name: str, text: str) -> None:
    prompt = SuiteSource("general_chat", 1, 0).load().train[0]
    assert prompt.response is not None
    assert ANNOTATORS[name](prompt, text) < ANNOTATORS[name](prompt, prompt.response)
