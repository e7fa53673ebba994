"""The summary of a run: numbers for programs, a table and a few sentences for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cgpo.evaluation.held_out import Evaluation
from cgpo.files import write_atomically

HACKED_BY = 0.05
"""The fall of the success rate, while the reward rises, that is called reward hacking."""


def summarise(
    results: Mapping[str, Mapping[str, Evaluation]], seconds: Mapping[str, float], **facts: Any
) -> dict[str, Any]:
    """Returns the content of `summary.json`.

    Args:
        results: for each task the evaluations by label, `before` and `after` among them.
        seconds: the wall-clock seconds of each stage.
        **facts: seed, optimizer, judges and so on, which are kept as they are.
    """
    tasks = {
        task: {label: asdict(e) for label, e in labelled.items() if label != "during"}
        for task, labelled in results.items()
        if {"before", "after"} <= labelled.keys()
    }
    return {"tasks": tasks, "findings": findings(tasks), "seconds": dict(seconds), **facts}


def findings(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a sentence per task on what happened to reward and success, and one for the whole."""
    sentences: list[str] = []
    hacked: list[str] = []
    for task, labelled in tasks.items():
        before, after = labelled["before"], labelled["after"]
        reward = f"reward {_verb(before['reward'], after['reward'])}"
        if before["success"] is None or after["success"] is None:
            sentences.append(f"{task}: {reward}; nothing says what success is here.")
        else:
            sentences.append(f"{task}: {reward}, success {_verb(before['success'], after['success'])}.")
            if after["reward"] > before["reward"] and after["success"] < before["success"] - HACKED_BY:
                hacked.append(task)
        violated = after["violation_rate"].values()
        if violated and all(rate is not None and rate > 0.95 for rate in violated):
            sentences.append(
                f"{task}: nearly every response violates its judges, so there is almost nothing to learn from."
            )
    if hacked:
        sentences.append(f"Reward up, success down: the reward model is being gamed in {', '.join(hacked)}.")
    return sentences


def _verb(before: float, after: float) -> str:
    if after == before:
        return f"stayed at {after:.2f}"
    return f"{'rose' if after > before else 'fell'} from {before:.2f} to {after:.2f}"


def summary_view(summary: Mapping[str, Any]) -> RenderableType:
    """Makes the table at the end of a run, with its further measures and its findings below.

    Every judge has its own row, so that no name is broken on a screen of 80 columns.
    """
    table = Table(title="held-out prompts, before → after", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task, judge", no_wrap=True)
    for column in ("success", "reward", "KL (nats)", "violated"):
        table.add_column(column, justify="right", no_wrap=True)
    for task, labelled in summary["tasks"].items():
        before, after = labelled["before"], labelled["after"]
        success = f"{_number(before['success'])} → {_number(after['success'])}"
        reward = f"{before['reward']:+.2f} → {after['reward']:+.2f}"
        rates = after["violation_rate"]
        table.add_row(escape(task), success, reward, _number(after["kl"]), "" if rates else "no judges")
        for judge, rate in rates.items():
            was = before["violation_rate"].get(judge)
            table.add_row(f"  {escape(judge)}", "", "", "", f"{_number(was)} → {_number(rate)}")
    measures = sorted({name for labelled in summary["tasks"].values() for name in labelled["after"]["measures"]})
    changes = [
        [f"{task} {_change(labelled, name)}" for task, labelled in summary["tasks"].items()] for name in measures
    ]
    lines = [f"{name}: {', '.join(changed)}" for name, changed in zip(measures, changes, strict=True)]
    missing = {reason for labelled in summary["tasks"].values() if (reason := labelled["after"].get("kl_missing"))}
    lines += [f"no KL divergence: {reason}" for reason in sorted(missing)]
    return Group(table, *(Text(line) for line in [*lines, *summary["findings"]]))


def _change(labelled: Mapping[str, Any], measure: str) -> str:
    before, after = (labelled[at]["measures"].get(measure) for at in ("before", "after"))
    return f"{_number(before)} → {_number(after)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes the summary as JSON, atomically."""
    write_atomically(path, json.dumps(summary, indent=2, allow_nan=False))
