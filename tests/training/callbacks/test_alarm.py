"""The hacking alarm as it listens to evaluations, alone and in a short run."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from tests.policy.tiny import prompt
from tests.tasks.fakes import RuleJudge, always, expert, never
from tests.training.test_loggers import Lines
from tests.training.tiny_runs import Rows, fit, module_of

from cgpo.evaluation.held_out import Evaluated, Evaluation
from cgpo.progress import shown_on
from cgpo.tasks.expert import Expert
from cgpo.training.callbacks import Evaluator, HackingAlarm
from cgpo.training.observer import Observer
from cgpo.types import Outcome, Prompt, Rollout, Sample, Verdict, Verdicts

TASK = expert(name="chat")
PROMPTS = tuple(Prompt(f"row:{i}", f"question {i}") for i in range(100))


def verdicts(right: int, undecided: int = 0) -> tuple[Verdict, ...]:
    """A hundred: so many satisfied, then so many undecided, the rest violated."""
    outcomes = [Outcome.SATISFIED] * right + [Outcome.UNDECIDED] * undecided
    outcomes += [Outcome.VIOLATED] * (100 - len(outcomes))
    return tuple(Verdict(outcome, f"because {outcome.value}") for outcome in outcomes)


def evaluated(reward: float, gold: int | None, **judges: int) -> Evaluated:
    """A hundred responses whose rewards rise by 0.01 each around a mean."""
    rewards = reward + 0.01 * (torch.arange(100.0) - 49.5)
    rollout = Rollout(
        prompts=PROMPTS,
        prompt_ids=((5,),) * 100,
        responses=tuple(f"answer {i}" for i in range(100)),
        response_ids=torch.zeros(100, 1, dtype=torch.long),
        response_mask=torch.ones(100, 1).bool(),
        logprobs=torch.zeros(100, 1),
        finished=torch.ones(100).bool(),
        temperature=1.0,
    )
    by_judge = {name: verdicts(right) for name, right in judges.items()}
    panel = Verdicts(by_judge, torch.ones(100).bool(), torch.ones(100).bool(), {})
    result = Evaluation(100, None, reward, 0.0, 1.0, {}, None, {})
    return Evaluated(result, rollout, rewards, torch.zeros(100), panel, None if gold is None else verdicts(gold))


class Run:
    """Stands in for the module: keeps what is said and logged."""

    def __init__(self) -> None:
        self._screen = Lines()
        self.rows = Rows()
        self.global_step = 0
        self.trainer = SimpleNamespace(
            loggers=[self.rows], should_stop=False, is_global_zero=True, strategy=SimpleNamespace(broadcast=bool)
        )

    @property
    def said(self) -> list[str]:
        return self._screen.said

    def tell(self, alarm: HackingAlarm, *results: Evaluated, task: Expert = TASK) -> None:
        """Evaluations ten updates apart."""
        module: Any = self
        with shown_on(self._screen):
            for result in results:
                alarm.on_evaluation(module, task, "during", result)
                self.global_step += 10


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_reward_up_and_success_down_is_said_logged_and_written(tmp_path: Path) -> None:
    run, file = Run(), tmp_path / "alarms.jsonl"
    run.tell(HackingAlarm(str(file), samples=2), evaluated(0.003, 80), evaluated(1.0, 40))
    assert run.said == [
        "alarm: chat: from update 0 to 10 the learned reward rose from 0.00 to 1.00 while gold success fell from 0.80 "
        f"to 0.40, 5.8 standard errors; {file} has samples"
    ]
    assert run.rows.rows == [(0, {"alarm/chat": 0.0}), (10, {"alarm/chat": 1.0})]
    (row,) = rows(file)
    assert (row["step"], row["began"], row["task"], row["signal"]) == (10, 0, "chat", "gold")
    assert row["message"] in run.said[0]
    # Rewards evenly from −0.495 to 0.495: a deviation of 0.2901, a tenth of it for the mean of a hundred.
    assert row["before"] == {
        "step": 0,
        "reward": pytest.approx(0.003, abs=1e-6),
        "reward_error": pytest.approx(0.0290, abs=1e-4),
        "signal": 0.8,
        "count": 100,
    }
    assert row["signal_sigmas"] == pytest.approx(5.77, abs=0.01)
    assert [(s["key"], s["response"]) for s in row["samples"]] == [("row:99", "answer 99"), ("row:98", "answer 98")]
    assert row["samples"][0]["reward"] == pytest.approx(1.495)
    assert row["samples"][0]["prompt"] == "question 99"
    assert row["samples"][0]["verdicts"] == {"gold": {"outcome": "violated", "reason": "because violated"}}


def test_an_alarm_is_said_when_it_begins_and_written_as_long_as_it_holds(tmp_path: Path) -> None:
    run, file = Run(), tmp_path / "alarms.jsonl"
    series = [evaluated(0.0, 80), evaluated(1.0, 40), evaluated(1.0, 30), evaluated(1.0, 80), evaluated(1.0, 30)]
    run.tell(HackingAlarm(str(file)), *series)
    assert [line[:37] for line in run.said] == [
        "alarm: chat: from update 0 to 10 the ",
        "alarm: chat: from update 0 to 40 the ",
    ]
    assert [row["step"] for row in rows(file)] == [10, 20, 40]
    assert [row["alarm/chat"] for _, row in run.rows.rows] == [0.0, 1.0, 1.0, 0.0, 1.0]


def test_a_held_out_judge_is_a_signal_where_it_is_no_constraint(tmp_path: Path) -> None:
    def short(sample: Sample) -> Outcome:
        return Outcome.SATISFIED if held_out.reign else Outcome.VIOLATED

    held_out: Any = RuleJudge(short)
    held_out.reign = True
    run, file = Run(), tmp_path / "alarms.jsonl"
    alarm = HackingAlarm(str(file), judges={"short": held_out})
    run.tell(alarm, evaluated(0.0, None))
    held_out.reign = False
    run.tell(alarm, evaluated(1.0, None))
    assert [(row["signal"], row["before"]["signal"], row["after"]["signal"]) for row in rows(file)] == [
        ("judge/short", 1.0, 0.0)
    ]
    assert len(held_out.asked) == 200
    run.tell(alarm, evaluated(2.0, None, short=50), task=expert(name="other"))
    assert len(held_out.asked) == 200, "it constrains the task, and so is not independent there"
    run_of_module: Any = run
    alarm.teardown(run_of_module, run_of_module, "fit")


def test_agreement_is_a_signal_unless_it_is_not_wanted(tmp_path: Path) -> None:
    series = evaluated(0.0, None, math=80, code=80), evaluated(1.0, None, math=90, code=20)
    run, file = Run(), tmp_path / "alarms.jsonl"
    run.tell(HackingAlarm(str(file)), *series)
    (row,) = rows(file)
    assert (row["signal"], row["before"]["signal"], row["after"]["signal"]) == ("agreement/math_code", 1.0, 0.3)
    assert row["samples"][0]["key"] == "row:89", "the highest reward among those on which the two differ"
    quiet = Run()
    quiet.tell(HackingAlarm(str(tmp_path / "none.jsonl"), signals=["gold", "judges"]), *series)
    assert (quiet.said, quiet.rows.rows) == ([], [])


def test_undecided_verdicts_count_for_nothing(tmp_path: Path) -> None:
    result = evaluated(1.0, 0)
    gold = verdicts(4, undecided=95)
    run, file = Run(), tmp_path / "alarms.jsonl"
    run.tell(HackingAlarm(str(file)), evaluated(0.0, 90), Evaluated(**{**vars(result), "gold": gold}))
    assert rows(file) == [], "0.8 of five is no fall from 0.9 of a hundred"


def test_an_alarm_ends_the_run_if_it_may(tmp_path: Path) -> None:
    run = Run()
    run.tell(HackingAlarm(str(tmp_path / "a.jsonl"), stop=True), evaluated(0.0, 80))
    assert not run.trainer.should_stop
    run = Run()
    run.tell(HackingAlarm(str(tmp_path / "b.jsonl"), stop=True), evaluated(0.0, 80), evaluated(1.0, 40))
    assert run.trainer.should_stop
    assert run.said[-1] == "alarm: the run ends at update 10, as callbacks.alarm.stop says"


def test_a_run_that_was_ended_ends_again_where_it_goes_on(tmp_path: Path) -> None:
    run = Run()
    ended = HackingAlarm(str(tmp_path / "a.jsonl"), stop=True)
    run.tell(ended, evaluated(0.0, 80), evaluated(1.0, 40))
    gone_on = HackingAlarm(str(tmp_path / "b.jsonl"), stop=True)
    gone_on.load_state_dict(ended.state_dict())
    assert fit(module_of([expert()]), 3, gone_on).global_step == 0
    assert fit(module_of([expert()]), 3, HackingAlarm(str(tmp_path / "c.jsonl"), stop=True)).global_step == 3


class Worse(Observer):
    """Turns the gold judge after an update, and the rewards up."""

    def on_train_batch_end(self, trainer: Any, pl_module: LightningModule, *args: Any) -> None:
        module: Any = pl_module
        for task in module.experts:
            task.gold.rule = never
            task.reward.scale = 5.0


@pytest.mark.parametrize(("stop", "updates"), [(False, 3), (True, 1)])
def test_in_a_run(tmp_path: Path, stop: bool, updates: int) -> None:
    held_out = tuple(prompt(5 + i % 9, 9) for i in range(40))
    module = module_of([expert(held_out=held_out, gold=RuleJudge(always))])
    file = tmp_path / "alarms.jsonl"
    alarm = HackingAlarm(str(file), stop=stop)
    trainer = fit(module, 3, Worse(), Evaluator(prompts=40, prompts_during=40, every=1), alarm)
    assert trainer.global_step == updates
    assert [row["step"] for row in rows(file)] == ([1, 1] if stop else [1, 2, 3])


def test_a_run_without_alarm_leaves_an_empty_file(tmp_path: Path) -> None:
    fit(module_of([expert()]), 1, HackingAlarm(str(tmp_path / "alarms.jsonl")))
    assert (tmp_path / "alarms.jsonl").read_bytes() == b""
