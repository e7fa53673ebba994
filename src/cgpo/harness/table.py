"""The scores for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table


def score_table(scores: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str) -> Table:
    """One line a metric: its value with the standard error, and what it was measured on."""
    table = Table(title=title, caption="± standard error", box=box.SIMPLE_HEAD)
    for column in ("task", "shots", "rows", "metric", "score"):
        table.add_column(column, justify="right" if column in ("shots", "rows", "score") else "left", overflow="fold")
    for tasks in scores.values():
        for task, found in tasks.items():
            start = [escape(task), _count(found["num_fewshot"]), _rows(found)]
            for metric, score in found["metrics"].items():
                table.add_row(*start, escape(metric), _score(score))
                start = ["", "", ""]
        table.add_section()
    return table


def _rows(found: Mapping[str, Any]) -> str:
    if found["rows"] is None:
        return "–"
    there = found["rows_there"]
    return str(found["rows"]) if found["rows"] == there else f"{found['rows']}/{there}"


def _count(number: int | None) -> str:
    return "–" if number is None else str(number)


def _score(score: Mapping[str, float | None]) -> str:
    error = score["standard_error"]
    return f"{score['value']:.3f}" + ("" if error is None else f" ± {error:.3f}")
