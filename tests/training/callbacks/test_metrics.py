"""The rows of metrics of updates and evaluations, on batches of known numbers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.training.callbacks.observed import ROLLOUT, TASK, result_of, watch
from tests.training.tiny_runs import Rows

from cgpo.training.callbacks import TaskMetrics
from cgpo.types import Outcome, Verdict, Verdicts


def test_names_and_values_of_one_update() -> None:
    rows = Rows()
    watch(TaskMetrics(), rows, step=0)
    assert len(rows.rows) == 1
    step, found = rows.rows[0]
    assert step == 1
    assert found == {
        "train/chat/length": pytest.approx(9 / 4),
        "train/chat/finished_rate": 0.75,
        "judges/chat/facts/violation_rate": 0.5,  # of the two judged
        "judges/chat/facts/undecided_rate": 0.25,
        "judges/chat/facts/not_applicable_rate": 0.25,
        "judges/chat/facts/not_asked_rate": 0.0,
        "judges/chat/facts/seconds": 0.5,
        "judges/chat/satisfied_rate": pytest.approx(2 / 3),  # of the three decided
        "train/chat/reward": pytest.approx(0.0, abs=1e-7),
        "train/chat/reward_calibrated": pytest.approx((0.75 + 0.5 + 0.25 + 0.5) / 4),
        "train/chat/reward_given_violation": 0.0,
        "train/chat/reward_given_satisfied": pytest.approx(0.0, abs=1e-7),  # of one at ln 3 and one at −ln 3
        "train/chat/kl": pytest.approx(0.5 * 9 / 4),
        "train/chat/objective/loss": 2.0,
        "train/chat/objective/beyond_kl_max": 0.25,
        "time/rollout": 1.0,
    }


def test_a_row_every_so_many_updates_is_their_mean() -> None:
    rows, metrics = Rows(), TaskMetrics(every=2)
    for step, (loss, seconds) in enumerate([(1.0, 2.0), (3.0, 6.0), (5.0, 1.0), (7.0, 2.0), (9.0, 4.0)]):
        watch(metrics, rows, step, loss, seconds)
    assert [step for step, _ in rows.rows] == [2, 4]
    assert [row["train/chat/objective/loss"] for _, row in rows.rows] == [2.0, 6.0]
    assert [row["time/rollout"] for _, row in rows.rows] == [4.0, 1.5]
    assert [row["judges/chat/facts/seconds"] for _, row in rows.rows] == [0.5, 0.5]

    trainer: Any = SimpleNamespace(loggers=[rows])
    module: Any = SimpleNamespace(global_step=5)
    metrics.on_train_end(trainer, module)
    step, last = rows.rows[-1]
    assert step == 5
    assert last["train/chat/objective/loss"] == 9.0
    assert last["time/rollout"] == 4.0, "the seconds of the one update that is left, not of half of it"
    assert metrics.totals == {"rollout": 15.0}
    metrics.on_train_end(trainer, module)
    assert len(rows.rows) == 3, "nothing is left to write"


def judged(*outcomes: str) -> tuple[Verdict, ...]:
    return tuple(Verdict(Outcome(outcome), "") for outcome in outcomes)


def test_rates_agreement_and_hits_add_up_over_batches_of_any_size() -> None:
    rows, metrics = Rows(), TaskMetrics(every=2)
    module: Any = SimpleNamespace(global_step=0)
    s, v, n, u, x = "satisfied", "violated", "not_applicable", "undecided", "not_asked"
    batches = [
        Verdicts(
            {"a": judged(s, v, v, u), "b": judged(s, s, x, x), "c": judged(n, n, n, n)},
            torch.tensor([True, False, False, False]),
            torch.tensor([True, True, True, False]),
            {"a": 1.0, "b": 2.0, "c": 0.0},
            {"a": 3, "b": 1},
        ),
        Verdicts(
            {"a": judged(v), "b": judged(v), "c": judged(s)},
            torch.tensor([False]),
            torch.tensor([True]),
            {"a": 1.0, "b": 2.0, "c": 1.0},
            {"a": 0, "b": 0},
        ),
    ]
    for step, verdicts in enumerate(batches):
        metrics.on_verdicts(module, TASK, ROLLOUT, verdicts)
        module.global_step = step + 1
        metrics.on_train_batch_end(SimpleNamespace(loggers=[rows]), module, None, None, step)  # pyright: ignore[reportArgumentType]
    ((_, found),) = rows.rows
    assert {name.removeprefix("judges/chat/"): value for name, value in found.items()} == {
        "a/violation_rate": 0.75,  # 3 of the 4 decided
        "a/undecided_rate": pytest.approx(0.2),
        "a/not_applicable_rate": 0.0,
        "a/not_asked_rate": 0.0,
        "a/cache_hit_rate": pytest.approx(0.6),
        "a/seconds": 1.0,
        "b/violation_rate": pytest.approx(1 / 3),  # of the 3 it was asked about
        "b/undecided_rate": 0.0,
        "b/not_applicable_rate": 0.0,
        "b/not_asked_rate": pytest.approx(0.4),
        "b/cache_hit_rate": pytest.approx(1 / 3),
        "b/seconds": 2.0,
        "c/violation_rate": 0.0,
        "c/undecided_rate": 0.0,
        "c/not_applicable_rate": pytest.approx(0.8),
        "c/not_asked_rate": 0.0,
        "c/seconds": 0.5,
        "agreement/a_b": pytest.approx(2 / 3),  # not on the second
        "agreement/a_c": 0.0,
        "agreement/b_c": 0.0,
    }


def test_what_nobody_can_say_is_not_logged() -> None:
    rows, metrics = Rows(), TaskMetrics()
    silent = Verdicts(
        {"facts": (Verdict(Outcome.NOT_APPLICABLE, ""),) * 4}, torch.ones(4).bool(), torch.ones(4).bool(), {}
    )
    module: Any = SimpleNamespace(global_step=1)
    metrics.on_verdicts(module, TASK, ROLLOUT, silent)
    metrics.on_train_batch_end(SimpleNamespace(loggers=[rows]), module, None, None, 0)  # pyright: ignore[reportArgumentType]
    assert "judges/chat/facts/violation_rate" not in rows.rows[0][1]
    assert rows.rows[0][1]["judges/chat/facts/not_applicable_rate"] == 1.0


def test_an_evaluation_is_logged_at_once() -> None:
    rows = Rows()
    module: Any = SimpleNamespace(global_step=7, trainer=SimpleNamespace(loggers=[rows]))
    TaskMetrics().on_evaluation(module, TASK, "during", result_of(0.75))
    TaskMetrics().on_evaluation(module, TASK, "during", result_of(None))
    known = {"eval/chat/reward": 0.5, "eval/chat/kl": 1.25, "eval/chat/readable": 0.125}
    assert rows.rows == [(7, {"eval/chat/success": 0.75, **known}), (7, known)]
