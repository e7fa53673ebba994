"""What is declared of metrics: every name that cgpo logs, old names, and where each is drawn."""

import re

import pytest
import torch
from tests.tasks.fakes import RuleJudge, WordReward, always, even, expert
from tests.training.tiny_runs import HELD_OUT, Rows, fit, module_of

from cgpo.judges.panel.panel import Panel
from cgpo.metrics import GROUPS, METRICS, current_name, expected, find, reference_page
from cgpo.optimizer import PPO, Lagrangian
from cgpo.reporting.sections import sections
from cgpo.rollout import DecodingSampler
from cgpo.training.callbacks import Evaluator, HackingAlarm, TaskMetrics
from cgpo.training.observer import Observer
from cgpo.training.update import ConstrainedUpdate


def logged(rows: Rows) -> set[str]:
    return {name for _, row in rows.rows for name in row}


def test_every_name_of_a_run_is_declared_and_expected(tmp_path) -> None:
    rows = Rows()
    task = expert(
        held_out=HELD_OUT,
        panel=Panel({"even": RuleJudge(even), "always": RuleJudge(always)}),
        gold=RuleJudge(even),
        optimizer=Lagrangian(PPO()),
        responses_per_prompt=4,
    )
    callbacks = (
        Evaluator(prompts=3, measures={"words": WordReward(1.0)}),
        HackingAlarm(str(tmp_path / "alarms.jsonl")),
        TaskMetrics(),
    )
    fit(module_of([task], update=ConstrainedUpdate(critic_learning_rate=0.1)), 2, *callbacks, loggers=[rows])
    names = logged(rows)
    assert {name for name in names if find(name) is None} == set()
    known = expected({"chat": ["even", "always"]})
    own = {name for name in names - set(known) if not name.startswith(("train/chat/objective/", "eval/chat/words"))}
    assert own == set()
    missing = {"train/chat/log_ratio", "skipped_updates", "time/checkpoint"} | {
        f"judges/chat/{judge}/cache_hit_rate" for judge in ("even", "always")
    }
    assert set(known) - names == missing


def test_no_pattern_is_declared_twice_and_every_group_has_a_metric() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert {metric.group for metric in METRICS} - {""} == {group.key for group in GROUPS}


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("train/chat/reward", "train/<task>/reward"),
        ("train/chat/objective/loss", "train/<task>/objective/loss"),
        ("train/chat/objective/multiplier/math", "train/<task>/objective/<name>"),
        ("judges/chat/math/seconds", "judges/<task>/<judge>/seconds"),
        ("judges/chat/agreement/math_code", "judges/<task>/agreement/<judges>"),
        ("eval/chat/success", "eval/<task>/success"),
        ("eval/chat/words", "eval/<task>/<measure>"),
        ("time/rollout", "time/<stage>"),
        ("train/chat/asks_back", None),
        ("mine", None),
    ],
)
def test_names_are_found_by_their_patterns(name: str, pattern: str | None) -> None:
    found = find(name)
    assert (None if found is None else found.name) == pattern


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("reward/chat/raw", "train/chat/reward"),
        ("reward/chat/calibrated", "train/chat/reward_calibrated"),
        ("reward/chat/given_violation", "train/chat/reward_given_violation"),
        ("kl/chat", "train/chat/kl"),
        ("rollout/chat/finished_rate", "train/chat/finished_rate"),
        ("objective/chat/multiplier/math", "train/chat/objective/multiplier/math"),
        ("gold/chat/success", "eval/chat/success"),
        ("judges/chat/math/seconds", "judges/chat/math/seconds"),
    ],
)
def test_names_of_version_0_1(old: str, new: str) -> None:
    assert current_name(old) == new
    assert find(new) is not None


class AsksBack(Observer):
    """Logs a metric of its own."""

    def on_rollout(self, module, expert, rollout) -> None:
        module.log_task(expert, "asks_back", [float("w4" in response) for response in rollout.responses])


def test_an_observer_logs_a_metric_of_its_own() -> None:
    rows = Rows()
    fit(module_of([expert()]), 2, AsksBack(), TaskMetrics(), loggers=[rows])
    values = [row["train/chat/asks_back"] for _, row in rows.rows]
    assert len(values) == 2
    assert all(0.0 <= value <= 1.0 for value in values)
    (section,) = (found for found in sections(logged(rows), ["chat"]) if found.group.key == "other-train")
    assert [(panel.task, panel.part, panel.metrics[0].name) for panel in section.panels] == [
        ("chat", "asks_back", "train/chat/asks_back")
    ]


@pytest.mark.parametrize(
    ("sampler", "cut"),
    [
        (DecodingSampler(6, 1.3), ""),
        (DecodingSampler(6, top_p=0.9), "top_p=0.9"),
        (DecodingSampler(6, top_p=0.5, top_k=3), "top_p=0.5 top_k=3"),
    ],
)
def test_a_cut_distribution_has_no_kl(sampler: DecodingSampler, cut: str) -> None:
    rows, evaluator = Rows(), Evaluator(prompts=3)
    fit(module_of([expert(held_out=HELD_OUT, sampler=sampler)]), 1, evaluator, TaskMetrics(), loggers=[rows])
    after = evaluator.results["chat"]["after"]
    assert ("train/chat/kl" in logged(rows), "train/chat/log_ratio" in logged(rows)) == (not cut, bool(cut))
    assert ("eval/chat/kl" in logged(rows)) is not bool(cut)
    assert (after.kl is None) is bool(cut)
    assert after.kl_missing == (f"responses were drawn with {cut}, not from the whole distribution" if cut else None)


def test_the_page_of_the_documentation_has_every_metric() -> None:
    page = reference_page()
    assert re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE) == [metric.name for metric in METRICS]
    assert "## Judges" in page


def test_a_mean_is_over_all_values() -> None:
    metrics = TaskMetrics()
    for values in ([1.0, 0.0], [1.0]):
        metrics.on_metric(None, expert(), "asks_back", torch.tensor(values))  # pyright: ignore[reportArgumentType]
    means, _ = metrics._accumulator.over_processes()  # pyright: ignore[reportPrivateUsage]
    assert means == {"train/chat/asks_back": pytest.approx(2 / 3)}
