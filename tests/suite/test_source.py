"""Splits, demonstrations and judge examples: counts, disjointness, repeatability."""

import subprocess
import sys

import pytest

from cgpo.data.source import PromptSplits
from cgpo.errors import UserError
from cgpo.suite.judge_examples import judge_examples
from cgpo.suite.oracles import SuiteOracle
from cgpo.suite.source import TASKS, SuiteSource, demonstrations
from cgpo.types import Outcome, Sample

FINGERPRINT = """
from cgpo.suite.judge_examples import judge_examples
from cgpo.suite.source import SuiteSource, demonstrations
for task in ("general_chat", "instruction_following", "math_code", "engagement", "harmful_intent"):
    print(demonstrations(task, SuiteSource(task, 20, 5, seed=1).load().train, seed=2))
print(judge_examples("safety", 0, 10))
"""


@pytest.mark.parametrize("task", TASKS)
def test_splits_are_large_and_share_no_text(task: str) -> None:
    splits = SuiteSource(task, 2000, 500).load()
    assert isinstance(splits, PromptSplits)
    assert (len(splits.train), len(splits.held_out)) == (2000, 500)
    prompts = splits.train + splits.held_out
    assert len({prompt.text for prompt in prompts}) == len({prompt.key for prompt in prompts}) == 2500
    assert all(prompt.response for prompt in prompts)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_held_out_was_trained_on_in_other_dress(task: str) -> None:
    splits = SuiteSource(task, 1500, 500).load()
    known = {str(prompt.metadata) for prompt in splits.train}
    assert {str(prompt.metadata) for prompt in splits.held_out} <= known


@pytest.mark.parametrize("task", TASKS)
def test_golden_responses_succeed(task: str) -> None:
    prompts = SuiteSource(task, 200, 0).load().train
    verdicts = SuiteOracle(task).judge([Sample(prompt, prompt.response or "") for prompt in prompts])
    assert {verdict.outcome for verdict in verdicts} == {Outcome.SATISFIED}


@pytest.mark.parametrize("task", TASKS)
def test_demonstrations_succeed_about_three_times_in_four(task: str) -> None:
    pairs = demonstrations(task, SuiteSource(task, 1000, 0).load().train, seed=0)
    verdicts = SuiteOracle(task).judge([Sample(prompt, response) for prompt, response in pairs])
    rate = sum(verdict.outcome is Outcome.SATISFIED for verdict in verdicts) / len(pairs)
    assert 0.7 < rate < 0.87


def test_seeds_decide_prompts_and_styles() -> None:
    first, other = SuiteSource("math_code", 50, 0, seed=0).load(), SuiteSource("math_code", 50, 0, seed=1).load()
    assert first == SuiteSource("math_code", 50, 0, seed=0).load()
    assert first != other
    assert demonstrations("math_code", first.train, 0) == demonstrations("math_code", first.train, 0)
    assert demonstrations("math_code", first.train, 0) != demonstrations("math_code", first.train, 1)


def test_nothing_depends_on_the_hash_seed() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0]
    assert runs[0] == runs[1]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UserError, match="no task 'poetry'"):
        SuiteSource("poetry")
    with pytest.raises(UserError, match="train_size"):
        SuiteSource("engagement", 0)
    with pytest.raises(UserError, match="were asked for"):
        SuiteSource("engagement", 10**6).load()
    with pytest.raises(UserError, match="no examples for 'code'"):
        judge_examples("code", 0, 1)


@pytest.mark.parametrize("judge", ["false_refusal", "factuality", "safety"])
def test_judge_examples_are_balanced_and_hard(judge: str) -> None:
    examples = judge_examples(judge, seed=0, n=2000)
    assert len(examples) == 2000
    assert examples == judge_examples(judge, seed=0, n=2000)
    assert 0.45 < sum(satisfied for _, _, satisfied in examples) / 2000 < 0.55
    responses = {response: satisfied for _, response, satisfied in examples}
    assert responses[""] is False
    assert all(TASKS[prompt.key.split("/")[0]].judges.count(judge) for prompt, _, _ in examples)
    assert judge != "factuality" or all("ground_truth" in prompt.metadata for prompt, _, _ in examples)


@pytest.mark.parametrize(("judge", "task"), [("factuality", "general_chat"), ("safety", "harmful_intent")])
def test_judge_examples_agree_with_the_oracle(judge: str, task: str) -> None:
    examples = judge_examples(judge, seed=1, n=1000)
    verdicts = SuiteOracle(task).judge([Sample(prompt, response) for prompt, response, _ in examples])
    for (_, response, satisfied), verdict in zip(examples, verdicts, strict=True):
        assert (verdict.outcome is Outcome.SATISFIED) == satisfied, (response, verdict)
