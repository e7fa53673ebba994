"""What callbacks have learnt travels in checkpoints: interrupted and resumed is as if nothing had happened."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.tasks.fakes import expert
from tests.training.callbacks.observed import watch
from tests.training.callbacks.test_alarm import Run, evaluated, rows
from tests.training.tiny_runs import HELD_OUT, Rows, fit, module_of

from cgpo.distributed.process_group import Processes
from cgpo.training.callbacks import Evaluator, HackingAlarm, TaskMetrics
from cgpo.types import Objective, Outcome, Verdict, Verdicts

STEPS = [(0.1, 2.0), (3.3, 6.1), (5.7, 1.3), (7.2, 2.9), (9.1, 4.7)]
"""Loss and seconds of five updates."""


def through_a_checkpoint(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


@pytest.mark.parametrize("at", [2, 3])
def test_metrics_go_on_in_the_middle_of_a_row(at: int, tmp_path: Path) -> None:
    whole, parts = Rows(), Rows()
    metrics, first, second = TaskMetrics(every=2), TaskMetrics(every=2), TaskMetrics(every=2)
    for step, numbers in enumerate(STEPS):
        watch(metrics, whole, step, *numbers)
        if step == at:
            second.load_state_dict(through_a_checkpoint(first.state_dict(), tmp_path))
        watch(first if step < at else second, parts, step, *numbers)
    for one, logger in ((metrics, whole), (second, parts)):
        trainer: Any = SimpleNamespace(loggers=[logger])
        module: Any = SimpleNamespace(global_step=5)
        one.on_train_end(trainer, module)
    assert [step for step, _ in whole.rows] == [2, 4, 5]
    assert parts.rows == whole.rows, "to the last bit"
    assert second.totals == metrics.totals


def test_the_metrics_of_two_processes_become_those_of_one() -> None:
    processes = [TaskMetrics(every=10), TaskMetrics(every=10)]
    nobody = Rows()
    watch(processes[0], nobody, 0, loss=1.0, seconds=2.0)
    watch(processes[0], nobody, 1, loss=2.0, seconds=2.0)
    watch(processes[1], nobody, 0, loss=6.0, seconds=6.0)
    module: Any = SimpleNamespace(global_step=1)
    five = (Verdict(Outcome.VIOLATED, ""),) * 5
    violated = Verdicts({"facts": five}, torch.zeros(5).bool(), torch.ones(5).bool(), {})
    processes[1].on_verdicts(module, expert(name="chat"), None, violated)  # pyright: ignore[reportArgumentType]
    merged = TaskMetrics()
    merged.load_state_dict(TaskMetrics.merged([process.state_dict() for process in processes]))
    assert merged.totals == {"rollout": 5.0}, "of one process, on average"
    written = Rows()
    merged.on_train_end(SimpleNamespace(loggers=[written]), SimpleNamespace(global_step=2))  # pyright: ignore[reportArgumentType]
    ((step, row),) = written.rows
    assert step == 2
    assert row["train/chat/objective/loss"] == 3.0, "of the three that were counted"
    assert row["time/rollout"] == pytest.approx(10 / 3)
    assert row["judges/chat/facts/violation_rate"] == pytest.approx(8 / 11), "three of six, and five of five"
    assert row["judges/chat/facts/seconds"] == 0.5


def test_what_one_process_counted_is_counted_once_by_two(tmp_path: Path) -> None:
    one = TaskMetrics(every=10)
    watch(one, Rows(), 0, loss=3.0, seconds=2.0)
    state = through_a_checkpoint(one.state_dict(), tmp_path)
    first, second = (TaskMetrics.merged([state], first)["counts"] for first in (True, False))
    assert first == state["counts"]
    assert first["means"]["train/chat/objective/loss"] == [3.0, 1.0]
    assert second["means"].keys() == first["means"].keys()
    assert second["sums"].keys() == first["sums"].keys()
    assert {number for pair in second["means"].values() for number in pair} | set(second["sums"].values()) == {0.0}


def test_the_objective_of_the_whole_batch_is_counted_by_one_process() -> None:
    counted: list[Any] = []
    for rank in (0, 1):
        metrics = TaskMetrics()
        module: Any = SimpleNamespace(processes=Processes(rank, 2))
        metrics.on_fit_start(module, module)
        metrics.on_objective(module, expert(name="chat"), Objective(torch.tensor(2.0), {"clipped": 0.5}))  # pyright: ignore[reportArgumentType]
        counted.append(metrics.state_dict()["counts"]["means"])
    assert counted[0] == {"train/chat/objective/loss": [2.0, 1.0], "train/chat/objective/clipped": [0.5, 1.0]}
    assert counted[1] == {"train/chat/objective/loss": [0.0, 0.0], "train/chat/objective/clipped": [0.0, 0.0]}


def test_an_alarm_that_is_on_does_not_begin_again(tmp_path: Path) -> None:
    series = [evaluated(0.0, 80, a=90, b=20), evaluated(1.0, 40, a=80, b=80), evaluated(1.0, 30, a=10, b=90)]
    series += [evaluated(1.0, 80, a=90, b=20), evaluated(1.0, 30, a=90, b=20)]
    whole = Run()
    whole.tell(HackingAlarm(str(tmp_path / "whole.jsonl")), *series)
    for at in range(1, 5):
        file, run = tmp_path / f"{at}.jsonl", Run()
        first, second = HackingAlarm(str(file)), HackingAlarm(str(file))
        run.tell(first, *series[:at])
        second.load_state_dict(through_a_checkpoint(first.state_dict(), tmp_path))
        assert second.state_dict() == first.state_dict()
        run.tell(second, *series[at:])
        assert [line.split("; ")[0] for line in run.said] == [line.split("; ")[0] for line in whole.said]
        assert rows(file) == rows(tmp_path / "whole.jsonl")
        assert run.rows.rows == whole.rows.rows


def test_evaluations_are_kept_and_the_first_is_not_repeated(tmp_path: Path) -> None:
    def task() -> Any:
        return expert(name="a", held_out=HELD_OUT)

    first = Evaluator(prompts=4, prompts_during=3, every=1)
    fit(module_of([task()]), 2, first)
    resumed = Evaluator(prompts=4)
    resumed.load_state_dict(through_a_checkpoint(first.state_dict(), tmp_path))
    assert resumed.results == first.results
    assert resumed.seconds == first.seconds > 0
    module: Any = SimpleNamespace(global_step=2, experts=[task()])
    resumed.on_train_start(SimpleNamespace(), module)  # pyright: ignore[reportArgumentType]
    assert resumed.results == first.results
