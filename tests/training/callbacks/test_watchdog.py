"""A run that stands still: what is said of it, and what is given up so that it goes on."""

import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.judges.panel.standing_still import Sleeps, Stoppable, activity
from tests.policy.tiny import prompt
from tests.processes import until
from tests.tasks.fakes import RuleJudge, even, expert
from tests.training.tiny_runs import Rows, fit, module_of

from cgpo.judges.panel.batch import JudgeActivity
from cgpo.judges.panel.panel import Panel
from cgpo.rollout import DecodingSampler
from cgpo.training.callbacks import Evaluator, HackingAlarm, TaskMetrics, Watchdog
from cgpo.training.stall_report import JudgeProgress, Stage
from cgpo.types import Outcome, Prompt, Sample, Verdict

HELD_OUT = tuple(prompt(5 + i, 25 - i) for i in range(4))


def test_a_judge_gets_on_as_long_as_the_rows_that_it_is_at_change() -> None:
    progress = JudgeProgress()

    def seconds(now: float, *activity: tuple[str, float, str]) -> list[float]:
        works = [
            JudgeActivity(judge, 2, began, (Sample(Prompt("row", "question"), response),), print)
            for judge, began, response in activity
        ]
        return [waiting.seconds for waiting in progress.look(works, now)]

    assert seconds(12.0, ("a", 10.0, "one")) == [2.0], "from its beginning, seen or not"
    assert seconds(15.0, ("a", 10.0, "one"), ("b", 11.0, "one")) == [5.0, 4.0]
    assert seconds(16.0, ("a", 10.0, "two"), ("b", 11.0, "one")) == [0.0, 5.0]
    assert seconds(18.0, ("a", 10.0, "two"), ("b", 17.0, "one")) == [2.0, 1.0], "another batch of b"


class Module(SimpleNamespace):
    """What a watchdog reads of a module."""

    def __init__(self) -> None:
        super().__init__(global_step=7, global_rank=3)


def watchdog(after: float = 1000.0, act: bool = True) -> Watchdog:
    dog = Watchdog(after, act)
    module: Any = Module()
    dog.on_fit_start(SimpleNamespace(), module)  # pyright: ignore[reportArgumentType]
    dog.teardown(SimpleNamespace(), module, "fit")  # pyright: ignore[reportArgumentType]
    return dog


def begin(dog: Watchdog, stage: str, task: str | None = "chat") -> float:
    module: Any = Module()
    dog.on_stage_start(module, stage, None if task is None else expert(name=task))
    return time.monotonic()


def test_the_line_of_a_stage_says_where_python_stands_and_comes_at_growing_intervals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dog = watchdog()
    start = begin(dog, "rollout")
    for seconds in (900, 1001, 1500, 1990, 2003, 3500, 4010):
        dog.look(start + seconds)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r":\d+ ", ":N ", line) for line in lines] == [
        f"watchdog: rank 3, after 7 updates, stage rollout of task chat for {seconds} s: "
        "stands at training/stall_report.py:N (frames)"
        for seconds in (1001, 2003, 4010)
    ]
    dog.look(begin(dog, "step", None) + 999)
    assert capsys.readouterr().err == "", "another stage has its own time"
    dog.look(begin(dog, "step", None) + 1002)
    assert "after 7 updates, stage step for 1002 s: stands at" in capsys.readouterr().err


def test_the_line_of_a_wait_names_judges_and_samples_and_they_are_given_up_one_by_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judges = {"first": Sleeps(), "second": Stoppable()}
    panel = Panel(judges)
    stuck = panel.submit([Sample(Prompt(f"row {i}", f"{i}"), "sleep") for i in range(5)])
    first, second = activity("first"), activity("second", lambda work: work.keys == ["row 0"])
    dog = watchdog(act=False)
    start = begin(dog, "judges")
    dog.look(start + 1001)
    dog.look(start + 1002)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.sub(r"1\d\d\d s", "N s", line) == (
        "watchdog: rank 3, after 7 updates, stage judges of task chat for N s: "
        "waits for judge first for N s, asked about 5 samples, now at row 0, row 1, row 2 and 2 more; "
        "judge second for N s, asked about 5 samples, now at row 0"
    )
    assert not stuck.done()

    dog = watchdog()
    start = begin(dog, "reward")
    dog.look(start + 1001)
    assert "waits for" not in capsys.readouterr().err
    assert not stuck.done(), "nobody waits for them yet"
    start = begin(dog, "judges")
    dog.look(start + 999)
    assert not stuck.done()
    dog.look(start + 1001)
    assert capsys.readouterr().err.endswith("; given up, their samples are undecided: first, second\n")
    for name in judges:
        verdicts = stuck.result(timeout=60).by_judge[name]
        assert {v.outcome for v in verdicts} == {Outcome.UNDECIDED}
        assert re.fullmatch(r"no verdict after 10\d\d s \(callbacks.watchdog.after\)", verdicts[0].reason)
    first.give_up("")
    second.give_up("")
    judges["first"].release.set()


class SleepsAt(Sleeps):
    """Stays for ever at the n-th batch that it is asked about, and judges the others."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.asked.append("")
        if len(self.asked) == self.number:
            self.release.wait()
        return [Verdict(Outcome.SATISFIED, "awake") for _ in samples]


def rates(rows: Rows, name: str) -> list[float]:
    return [row[name] for _, row in rows.rows if name in row]


def test_a_run_goes_on_without_the_verdicts_of_a_judge_that_stalls(capsys: pytest.CaptureFixture[str]) -> None:
    judge, rows = SleepsAt(4), Rows()  # each of the first two updates has baselines and responses
    task = expert(panel=Panel({"even": RuleJudge(even), "sleepy": judge}), responses_per_prompt=4)
    trainer = fit(module_of([task]), 3, Watchdog(after=0.8), TaskMetrics(), loggers=rows)
    judge.release.set()
    assert trainer.global_step == 3
    assert rates(rows, "judges/chat/sleepy/undecided_rate") == [0.0, 1.0, 0.0]
    assert rates(rows, "judges/chat/even/undecided_rate") == [0.0, 0.0, 0.0]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "given up" in line]
    assert re.search(
        r"watchdog: rank 0, after 1 updates, stage judges of task chat for \d+ s: waits for judge sleepy for \d+ s, "
        r"asked about 8 samples, now at w5 w9, w7 w11; given up",
        line,
    )


class SleepySampler:
    """The decoding sampler, slow at one call."""

    max_new_tokens = 6

    def __init__(self) -> None:
        self.sampler = DecodingSampler(6, 1.3)
        self.calls = 0

    def sample(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            time.sleep(1.0)
        return self.sampler.sample(*arguments)


def test_a_rollout_that_takes_long_is_named_and_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    task = expert(name="slow", sampler=SleepySampler(), prompts=(prompt(5, 9, response="w4"),) * 2)
    fit(module_of([expert(name="quick"), task]), 3, Watchdog(after=0.4))
    stands = r"stands at callbacks/test_watchdog.py:\d+ \(sample\), called from training/module.py:"
    said = rf"^watchdog: rank 0, after 1 updates, stage rollout of task slow for \d+ s: {stands}"
    assert re.search(said, capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("place", ["own", "gold", "held-out"])
def test_judges_of_evaluations_are_watched_too(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = SleepsAt(2 if place != "own" else 1)
    task = expert(
        name="chat",
        held_out=HELD_OUT,
        panel=Panel({"sleepy": judge} if place == "own" else {"even": RuleJudge(even)}),
        gold=judge if place == "gold" else None,
    )
    alarm = HackingAlarm(str(tmp_path / "alarms.jsonl"), judges={"sleepy": judge} if place == "held-out" else {})
    evaluator = Evaluator(prompts=4, prompts_during=4, every=1)
    fit(module_of([task]), 2, Watchdog(after=0.8), evaluator, alarm)
    judge.release.set()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "given up" in line]
    updates, name = 0 if place == "own" else 1, "gold" if place == "gold" else "sleepy"
    assert f"after {updates} updates, stage evaluation of task chat for " in line
    assert f"waits for judge {name} for " in line
    if place == "gold":
        assert [evaluator.results["chat"][label].success for label in ("before", "during", "after")] == [1.0, None, 1.0]


def test_without_a_time_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    fit(module_of([expert(sampler=SleepySampler())]), 3, Watchdog(after=None))
    assert "watchdog" not in capsys.readouterr().err


class BrokenError(Exception):
    pass


class Fails(TaskMetrics):
    def on_rollout(self, *arguments: Any) -> None:
        raise BrokenError


def test_a_run_that_fails_is_watched_no_more() -> None:
    dog = Watchdog(after=60.0)
    with pytest.raises(BrokenError):
        fit(module_of([expert()]), 1, dog, Fails())
    until(lambda: "watchdog" not in {thread.name for thread in threading.enumerate()})


def test_what_a_stage_says() -> None:
    assert Stage("judges", "math", 12, 100.0).sentence(141.6) == "after 12 updates, stage judges of task math for 42 s"
    assert Stage("step", None, 0, 100.0).sentence(100.0) == "after 0 updates, stage step for 0 s"
