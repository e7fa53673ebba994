"""What the callbacks write, on batches of known numbers and in a short run."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.policy.tiny import prompt
from tests.tasks.fakes import RuleJudge, WordReward, even, expert
from tests.training.cases_of_processes import Rows
from tests.training.test_module import fit, module_of

from cgpo.evaluation.held_out import Evaluated, Evaluation
from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CRPG
from cgpo.training.callbacks import Evaluator, SampleLog, TaskMetrics
from cgpo.training.observer import Observer
from cgpo.types import Baseline, Objective, Outcome, Prompt, Rollout, TrainingBatch, Verdict, Verdicts

LN3 = math.log(3.0)


TASK = expert(name="chat")
PROMPT = Prompt("a", "question")
ROLLOUT = Rollout(
    prompts=(PROMPT,),
    prompt_ids=((5,),),
    responses=("one", "two", "three", "four"),
    response_ids=torch.full((4, 3), 7),
    response_mask=torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]).bool(),
    logprobs=torch.zeros(4, 3),
    finished=torch.tensor([True, True, True, False]),
    temperature=1.0,
)
OUTCOMES = (Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE, Outcome.UNDECIDED)
VERDICTS = Verdicts(
    by_judge={"facts": tuple(Verdict(o, f"because {o.value}") for o in OUTCOMES)},
    satisfied=torch.tensor([True, False, True, False]),
    decided=torch.tensor([True, True, True, False]),
    seconds={"facts": 0.5},
)
SCORED = TrainingBatch(
    logprobs=torch.full((1, 4, 3), -1.0),
    reference_logprobs=torch.full((1, 4, 3), -1.5),
    sampled_logprobs=torch.full((1, 4, 3), -1.0),
    response_mask=ROLLOUT.response_mask[None],
    reward=torch.tensor([[LN3, 0.0, -LN3, 0.0]]),
    satisfied=VERDICTS.satisfied[None],
    decided=VERDICTS.decided[None],
    identity=torch.tensor([[0, 1, 2, 3]]),
    baseline=Baseline(torch.zeros(1), torch.ones(1).bool(), torch.zeros(1, 1), torch.zeros(1, 1).bool()),
)


def watch(metrics: TaskMetrics, rows: Rows, step: int, loss: float = 2.0, seconds: float = 1.0) -> None:
    """One update as the module and Lightning tell of it."""
    module: Any = SimpleNamespace(global_step=step)
    trainer: Any = SimpleNamespace(loggers=[rows])
    metrics.on_rollout(module, TASK, ROLLOUT)
    metrics.on_stage(module, "rollout", seconds)
    metrics.on_verdicts(module, TASK, ROLLOUT, VERDICTS)
    metrics.on_training_batch(module, TASK, ROLLOUT, VERDICTS, SCORED)
    metrics.on_objective(module, TASK, Objective(torch.tensor(loss), {"beyond_kl_max": 0.25}))
    module.global_step = step + 1
    metrics.on_train_batch_end(trainer, module, None, None, step)


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


def result_of(success: float | None) -> Evaluated:
    evaluation = Evaluation(4, success, 0.5, 1.25, 2.0, {}, 1.0, {"readable": 0.125})
    gold = [Verdict(o, "") for o in OUTCOMES]
    return Evaluated(evaluation, ROLLOUT, torch.arange(4.0), torch.arange(4.0) / 2, VERDICTS, gold)


def test_an_evaluation_is_logged_at_once() -> None:
    rows = Rows()
    module: Any = SimpleNamespace(global_step=7, trainer=SimpleNamespace(loggers=[rows]))
    TaskMetrics().on_evaluation(module, TASK, "during", result_of(0.75))
    TaskMetrics().on_evaluation(module, TASK, "during", result_of(None))
    known = {"eval/chat/reward": 0.5, "eval/chat/kl": 1.25, "eval/chat/readable": 0.125}
    assert rows.rows == [(7, {"eval/chat/success": 0.75, **known}), (7, known)]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_of_training_samples(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    log = SampleLog(str(path), every=3, per_task=4)
    for step in range(5):
        module: Any = SimpleNamespace(global_step=step, trainer=SimpleNamespace(is_global_zero=True))
        log.on_training_batch(module, TASK, ROLLOUT, VERDICTS, SCORED)
    rows = read(path)
    assert [row["step"] for row in rows] == [0] * 4 + [3] * 4
    assert [row["satisfied"] for row in rows[:4]] == [True, False, True, None]
    assert rows[1] == {
        "step": 0,
        "split": "train",
        "task": "chat",
        "key": "a",
        "prompt": "question",
        "response": "two",
        "reward": 0.0,
        "calibrated_reward": 0.5,
        "log_ratio": 1.0,
        "satisfied": False,
        "verdicts": {"facts": {"outcome": "violated", "reason": "because violated"}},
        "gold": None,
    }
    assert rows[0]["calibrated_reward"] == pytest.approx(0.75)


def test_rows_of_an_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    answered = prompt(5, response="w4")  # its golden response is worth 0.04
    result = result_of(0.75)
    asked = Evaluated(
        result.result,
        Rollout(**{**vars(ROLLOUT), "prompts": (answered,) * 4}),
        result.reward,
        result.log_ratio,
        VERDICTS,
        result.gold,
    )
    module = module_of([TASK])
    recorded: Any = SimpleNamespace(
        global_step=9,
        baselines=module.baselines,
        prepare_baselines=lambda *_: None,
        trainer=SimpleNamespace(loggers=[Rows()], is_global_zero=True),
    )
    SampleLog(str(path), per_evaluation=2).on_evaluation(recorded, TASK, "after", asked)
    rows = read(path)
    assert [(row["step"], row["split"], row["response"]) for row in rows] == [
        (9, "held_out", t) for t in ("one", "two")
    ]
    assert [row["gold"] for row in rows] == ["satisfied", "violated"]
    assert [row["reward"] for row in rows] == [0.0, 1.0]
    assert [row["log_ratio"] for row in rows] == [0.0, 0.5]
    wanted = [1 / (1 + math.exp(0.04 - r)) for r in (0.0, 1.0)]
    assert [row["calibrated_reward"] for row in rows] == pytest.approx(wanted, rel=1e-5)


class Evaluations(Observer):
    """Which evaluations it was told of."""

    def __init__(self) -> None:
        self.broadcast: list[tuple[int, str, str, int]] = []

    def on_evaluation(self, module: Any, expert: Any, label: str, result: Evaluated) -> None:
        self.broadcast.append((module.global_step, label, expert.name, result.result.prompts))


HELD_OUT = tuple(prompt(5 + i, 25 - i, response="w4") for i in range(5))


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
