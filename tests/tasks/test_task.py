"""A task as a person writes it down in Python."""

from typing import Any

import pytest
import torch
from tests.api.parts import Even, Short, length, task
from tests.policy.tiny import tiny_policy, words

import cgpo
from cgpo.judges.panel.panel import Panel
from cgpo.tasks.task import bind_tasks, named_judges


def test_sixty_rows_are_split_exactly_and_always_the_same_way() -> None:
    first, second = task(), task()
    assert (len(first.prompts), len(first.held_out)) == (54, 6)
    assert first.held_out == second.held_out
    assert {p.key for p in first.prompts}.isdisjoint(p.key for p in first.held_out)


@pytest.mark.parametrize(("held_out", "count"), [(0.01, 1), (0, 0), (7, 7), (0.5, 30)])
def test_what_is_held_out(held_out: float, count: int) -> None:
    assert len(task(held_out=held_out).held_out) == count


def test_other_prompts_may_be_held_out() -> None:
    found = task(held_out=[cgpo.Prompt("test:1", "w9 w9"), "w8"])
    assert [prompt.key for prompt in found.held_out] == ["test:1", "chat/held_out:2"]
    assert len(found.prompts) == 60


def test_judges_of_a_list_are_named_after_their_classes() -> None:
    assert list(named_judges("judges", [cgpo.MathJudge(), cgpo.RefusalRulesJudge(), Even()])) == [
        "math",
        "refusal_rules",
        "even",
    ]
    assert list(named_judges("judges", {"mine": Even()})) == ["mine"]
    assert list(named_judges("judges", Even())) == ["even"]


class Fussy(Even):
    def check_prompt(self, prompt: cgpo.Prompt) -> None:
        if "answer" not in prompt.metadata:
            raise cgpo.UserError(f"row {prompt.key}: there is no answer")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "a b"}, r"Task\.name is 'a b': it must be a word"),
        ({"prompts": []}, r"Task\.prompts of chat: there are none"),
        ({"prompts": "rows.jsonl"}, r"Task\.prompts of chat is 'rows.jsonl': .* read a file with read_prompts"),
        ({"prompts": [{"text": "w4"}]}, r"Task\.prompts of chat: .* is no cgpo\.Prompt"),
        ({"prompts": [cgpo.Prompt("k", "w4"), cgpo.Prompt("k", "w5")]}, "2 prompts have the key 'k'"),
        ({"prompts": ["w4", "w4"]}, r"Task\.held_out of chat is 0\.1: 2 prompts that say 1 different things"),
        ({"prompts": ["w4"]}, r"cannot be both trained on and held out; give more prompts, or held_out=0"),
        ({"held_out": 1.5}, r"Task\.held_out: expected a share below 1"),
        ({"reward": 3}, r"Task\.reward is 3: it must be a cgpo\.RewardModel, or a function"),
        ({"reward": cgpo.RewardModel}, r"Task\.reward is the class RewardModel: give an object of it"),
        ({"judges": [3]}, r"Task\.judges\[0\]: .* is not a judge"),
        ({"judges": [Even]}, r"Task\.judges\[0\]: Even is the class of a judge"),
        ({"judges": [Even(), Even()]}, r"Task\.judges: 2 judges would be called 'even'; give them names"),
        ({"judges": [Fussy()]}, r"row chat:\d+: there is no answer"),
        ({"gold": "math"}, r"Task\.gold: .* is not a judge"),
        ({"optimizer": cgpo.CRPG}, r"Task\.optimizer: CRPG is the class of an optimizer; call it"),
        ({"optimizer": cgpo.CODPO(0.1, 0.1), "responses_per_prompt": 1}, r"Task\.responses_per_prompt is 1: CODPO"),
        ({"batch_size": 0}, r"Task\.batch_size is 0: it must be a whole number of at least 1"),
        ({"weight": -1.0}, r"Task\.weight is -1\.0: it must be a number above 0"),
        ({"max_new_tokens": "many"}, r"Task\.max_new_tokens is 'many'"),
        ({"temperature": 0}, r"Task\.temperature is 0"),
        ({"sampler": "greedy"}, r"Task\.sampler is 'greedy': it must have a method sample"),
    ],
)
def test_a_wrong_argument_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(cgpo.UserError, match=message):
        task(**settings)


def test_a_function_is_a_reward() -> None:
    sample = cgpo.Sample(cgpo.Prompt("k", "w4"), "w5 w6 w7")
    assert torch.equal(task().reward.score([sample, sample]), torch.tensor([3.0, 3.0]))
    bad = task(reward=lambda sample: None).reward
    with pytest.raises(cgpo.UserError, match="it answered None for row k, which is no number"):
        bad.score([sample])


def test_tasks_may_share_a_judge_and_may_call_different_ones_the_same() -> None:
    shared = Even()
    tasks = [
        task("one", judges=[shared, Short()]),
        task("two", judges=[shared]),
        task("three", judges={"short": Even()}),
    ]
    asked: list[Panel] = []

    def bind(judges: Any) -> Panel:
        asked.append(Panel(judges))
        return asked[-1]

    one, two, three = bind_tasks(tasks, tiny_policy(), bind)
    assert len(asked) == 1
    assert asked[0].names == ("even", "short", "short of three"), "each judge is asked by one thread"
    assert (one.panel.names, two.panel.names, three.panel.names) == (("even", "short"), ("even",), ("short",))
    sample = cgpo.Sample(cgpo.Prompt("k", "w4"), "w5 w6 w7")
    assert three.panel.judge([sample]).satisfied.tolist() == [False], "the task's own judge answers"
    assert one.panel.judge([sample]).by_judge["short"][0].outcome is cgpo.Outcome.SATISFIED


def test_prompts_that_the_policy_cannot_read_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    long = words(*[5] * 60)  # the tiny policy reads 64 tokens, six of them for the response
    (expert,) = bind_tasks([task(prompts=["w4", "w5", "w6", long], held_out=0)], tiny_policy())
    assert [prompt.text for prompt in expert.prompts] == ["w4", "w5", "w6"]
    assert "chat: 1 of 4 prompts left out" in capsys.readouterr().out
    with pytest.raises(cgpo.UserError, match="all are longer than 58 tokens; lower max_new_tokens"):
        bind_tasks([task(prompts=[long], held_out=0)], tiny_policy())
    with pytest.raises(cgpo.UserError, match=r"Task\.max_new_tokens of chat is 64: .* no room for a prompt"):
        bind_tasks([task(max_new_tokens=64)], tiny_policy())


def test_names_of_tasks_differ() -> None:
    with pytest.raises(cgpo.UserError, match="2 tasks are called 'chat'"):
        bind_tasks([task(), task()], tiny_policy())
    with pytest.raises(cgpo.UserError, match="give at least one task"):
        bind_tasks([], tiny_policy())


def test_it_says_what_it_is() -> None:
    assert repr(task(reward=length)) == "Task('chat': 54 prompts, 6 held out; judges: even; CRPG)"
