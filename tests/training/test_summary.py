"""The summary of a run, its findings and its tables."""

import json
import math
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cgpo.evaluation.held_out import Evaluation
from cgpo.training.summary import findings, summarise, summary_view, write_summary


def evaluation(reward: float, success: float | None, violated: float | None = 0.1, **settings: Any) -> Evaluation:
    rates = {"length": violated}
    values = {"prompts": 9, "kl": 1.5, "length": 7.0, "violation_rate": rates, "satisfied_rate": 0.9, "measures": {}}
    return Evaluation(reward=reward, success=success, **{**values, **settings})


def said(before: Evaluation, after: Evaluation) -> list[str]:
    return summarise({"chat": {"before": before, "during": before, "after": after}}, {})["findings"]


def test_reward_up_and_success_down_is_called_by_its_name() -> None:
    sentences = said(evaluation(-1.0, 0.8), evaluation(2.0, 0.5))
    assert sentences == [
        "chat: reward rose from -1.00 to 2.00, success fell from 0.80 to 0.50.",
        "Reward up, success down: the reward model is being gamed in chat.",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [((-1.0, 0.8), (2.0, 0.9)), ((-1.0, 0.8), (2.0, 0.76)), ((1.0, 0.8), (0.5, 0.2)), ((1.0, None), (5.0, None))],
)
def test_nothing_else_is_called_hacking(before: tuple[float, float], after: tuple[float, float]) -> None:
    assert not [s for s in said(evaluation(*before), evaluation(*after)) if "gamed" in s]


def test_the_words_follow_the_numbers() -> None:
    assert said(evaluation(1.0, 0.5), evaluation(1.0, 0.7)) == [
        "chat: reward stayed at 1.00, success rose from 0.50 to 0.70."
    ]
    assert said(evaluation(1.0, None), evaluation(0.0, None)) == [
        "chat: reward fell from 1.00 to 0.00; nothing says what success is here."
    ]


@pytest.mark.parametrize(("before", "after"), [(0.5, None), (None, 0.5)])
def test_success_known_on_one_side_only_is_no_error(before: float | None, after: float | None) -> None:
    assert len(said(evaluation(1.0, before), evaluation(2.0, after))) == 1


def test_a_task_that_violates_all_is_pointed_out() -> None:
    assert "almost nothing to learn from" in said(evaluation(1.0, 0.1), evaluation(1.0, 0.1, violated=0.96))[-1]
    assert len(said(evaluation(1.0, 0.1), evaluation(1.0, 0.1, violated=0.9))) == 1
    assert len(said(evaluation(1.0, 0.1), evaluation(1.0, 0.1, violated=None))) == 1
    assert len(said(evaluation(1.0, 0.1), evaluation(1.0, 0.1, violation_rate={}))) == 1


def test_a_task_seen_only_on_the_way_has_no_finding() -> None:
    assert summarise({"chat": {"during": evaluation(1.0, 0.5)}}, {})["findings"] == []


def test_the_summary_keeps_facts_and_leaves_out_the_way() -> None:
    found = summarise(
        {"chat": {"before": evaluation(1, 0.5), "during": evaluation(2, 0.6), "after": evaluation(3, 0.7)}},
        {"train": 2.5},
        seed=4,
    )
    assert list(found["tasks"]["chat"]) == ["before", "after"]
    assert found["tasks"]["chat"]["after"]["reward"] == 3
    assert (found["seconds"], found["seed"]) == ({"train": 2.5}, 4)


def test_the_table_shows_every_judge() -> None:
    console = Console(record=True, width=160, file=StringIO())
    labelled = {"before": evaluation(1.0, None, 0.5), "after": evaluation(2.0, 0.75, 0.25)}
    console.print(summary_view(summarise({"chat": labelled}, {})))
    text = console.export_text()
    for part in ("chat", "– → 0.75", "+1.00 → +2.00", "1.50", "  length", "0.50 → 0.25"):
        assert part in text


def test_further_measures_have_a_line_of_their_own() -> None:
    console = Console(record=True, width=160, file=StringIO())
    changed = {
        "before": evaluation(1.0, 0.5, measures={"referee_loss": 3.5}),
        "after": evaluation(1.0, 0.5, measures={"referee_loss": 2.25}),
    }
    console.print(summary_view(summarise({"word": changed, "ending": changed}, {})))
    assert "referee_loss: word 3.50 → 2.25, ending 3.50 → 2.25" in console.export_text()


def test_a_summary_is_written_whole(tmp_path: Path) -> None:
    write_summary(tmp_path / "summary.json", {"seed": 3})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"seed": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_summary(tmp_path / "summary.json", {"seed": math.nan})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"seed": 3}


def test_findings_take_plain_numbers() -> None:
    assert findings({}) == []
