"""When a run is evaluated, and what it writes of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.fakes import RuleJudge, WordReward, even, expert
from tests.training.callbacks.observed import read
from tests.training.tiny_runs import HELD_OUT, Rows, fit, module_of

from cgpo.evaluation.held_out import Evaluated
from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CRPG
from cgpo.training.callbacks import Evaluator, SampleLog, TaskMetrics
from cgpo.training.observer import Observer


class Evaluations(Observer):
    """Which evaluations it was told of."""

    def __init__(self) -> None:
        self.broadcast: list[tuple[int, str, str, int]] = []

    def on_evaluation(self, module: Any, expert: Any, label: str, result: Evaluated) -> None:
        self.broadcast.append((module.global_step, label, expert.name, result.result.prompts))


def test_evaluations_before_during_and_after() -> None:
    tasks = [expert(name="a", held_out=HELD_OUT), expert(name="b"), expert(name="c", held_out=HELD_OUT[:2])]
    evaluator, observer = Evaluator(prompts=4, prompts_during=3, every=2), Evaluations()
    fit(module_of(tasks), 4, evaluator, observer)
    assert observer.broadcast == [
        (0, "before", "a", 4),
        (0, "before", "c", 2),
        (2, "during", "a", 3),
        (2, "during", "c", 2),
        (4, "after", "a", 4),
        (4, "after", "c", 2),
    ]
    labels = ["before", "during", "after"]
    assert {task: list(of) for task, of in evaluator.results.items()} == {"a": labels, "c": labels}
    assert evaluator.results["a"]["before"].kl == pytest.approx(0.0, abs=1e-9)
    assert abs(evaluator.results["a"]["after"].kl) > 1e-6
    assert evaluator.seconds > 0


def test_no_evaluation_on_the_way_unless_asked_for() -> None:
    observer = Evaluations()
    fit(module_of([expert(held_out=HELD_OUT)]), 3, Evaluator(prompts=2), observer)
    assert [label for _, label, _, _ in observer.broadcast] == ["before", "after"]
    silent = Evaluations()
    fit(module_of([expert(held_out=HELD_OUT)]), 1, Evaluator(prompts=0, prompts_during=0, every=1), silent)
    assert silent.broadcast == []


def test_an_evaluation_changes_nothing() -> None:
    plain, watched = (module_of([expert(held_out=HELD_OUT)]) for _ in range(2))
    fit(plain, 3)
    fit(watched, 3, Evaluator(prompts=5, prompts_during=5, every=1))
    for one, other in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_writes_what_it_saw(tmp_path: Path) -> None:
    rows, path = Rows(), tmp_path / "samples.jsonl"
    task = expert(
        name="chat",
        held_out=HELD_OUT,
        panel=Panel({"even": RuleJudge(even)}),
        gold=RuleJudge(even),
        optimizer=CRPG(9.0),
    )
    evaluator = Evaluator(prompts=5, measures={"words": WordReward(1.0)})
    callbacks = (evaluator, TaskMetrics(), SampleLog(str(path), every=1, per_task=2, per_evaluation=1))
    fit(module_of([task]), 2, *callbacks, loggers=[rows])
    updates = [(step, row) for step, row in rows.rows if "train/chat/objective/loss" in row]
    assert [step for step, _ in updates] == [1, 2]
    first = updates[0][1]
    assert first["train/chat/kl"] == pytest.approx(0.0, abs=1e-6), "the first update draws from the reference itself"
    assert first["judges/chat/satisfied_rate"] == pytest.approx(1 - first["judges/chat/even/violation_rate"])
    assert {"time/rollout", "time/reward", "time/judges", "time/reference", "time/update", "time/step"} <= first.keys()
    gold = [(step, row) for step, row in rows.rows if "eval/chat/success" in row]
    assert [step for step, _ in gold] == [0, 2]
    assert gold[1][1]["eval/chat/success"] == pytest.approx(evaluator.results["chat"]["after"].success)
    assert gold[1][1]["eval/chat/words"] == pytest.approx(evaluator.results["chat"]["after"].measures["words"])
    samples = read(path)
    assert [(s["step"], s["split"]) for s in samples] == [
        (0, "held_out"),
        (0, "train"),
        (0, "train"),
        (1, "train"),
        (1, "train"),
        (2, "held_out"),
    ]
    for sample in samples:
        wanted = "satisfied" if len(sample["response"].split()) % 2 == 0 else "violated"
        assert sample["verdicts"]["even"]["outcome"] == wanted
