"""The summary as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

OUTCOMES = ("satisfied", "violated", "not_applicable", "undecided")
NOT_ASKED = "not_asked"
"""Shown only if the panel skipped expensive judges."""
MEASURES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "kappa": "Cohen's kappa",
}
TOGETHER = "all together"
SIDE_BY_SIDE, LABELLED_SIDE_BY_SIDE = 3, 2
"""The number of judges that fit side by side on eighty columns, without and with intervals against labels."""
Ratings = Mapping[str, Any]


def summary_view(summary: Mapping[str, Any]) -> RenderableType:
    """Shows each judge's outcomes, how it compares with the labels, if there are any, and with the other judges."""
    raters: dict[str, Ratings] = {**summary["judges"]}
    if "panel" in summary:
        raters[TOGETHER] = summary["panel"]
    agreement = [_agreement(summary["agreement"])] if summary.get("agreement") else []
    lines = [
        f"{name} applied to no row: the rows' metadata do not hold what it reads"
        for name, ratings in summary["judges"].items()
        if ratings["outcomes"]["not_applicable"]["rows"] == summary["rows"]
    ]
    labelled = any("against_labels" in ratings for ratings in raters.values())
    fit = LABELLED_SIDE_BY_SIDE if labelled else SIDE_BY_SIDE
    parts = [dict(list(raters.items())[start : start + fit]) for start in range(0, len(raters), fit)]
    return Group(*(_ratings(part, summary["rows"], labelled) for part in parts), *agreement, *map(Text, lines))


def _ratings(raters: Mapping[str, Ratings], rows: int, labelled: bool) -> Table:
    caption = "against the labels: a violation is positive; in brackets 95 % confidence intervals" if labelled else None
    table = Table(title=f"verdicts on {rows:,} rows", caption=caption, box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in raters:
        table.add_column(escape(name), justify="right", no_wrap=True)

    def line(name: str, cell: Callable[[Ratings], str]) -> None:
        table.add_row(name, *(cell(ratings) for ratings in raters.values()))

    spared = any(ratings["outcomes"][NOT_ASKED]["rows"] for ratings in raters.values())
    for outcome in (*OUTCOMES, NOT_ASKED) if spared else OUTCOMES:
        line(_words(outcome), lambda ratings, o=outcome: _count(ratings["outcomes"][o]))
    line("seconds", lambda ratings: f"{ratings['seconds']:,.1f}")
    line("ms a row", lambda ratings: f"{1000 * ratings['seconds_per_row']:,.3g}")
    if labelled:
        table.add_section()
        line("rows with a label", lambda ratings: f"{ratings['against_labels']['rows']:,}")
        for key in ("undecided", "not_applicable", NOT_ASKED):
            if any(ratings["against_labels"][key] for ratings in raters.values()):
                line(f"left out, {_words(key)}", lambda ratings, k=key: f"{ratings['against_labels'][k]:,}")
        for key, name in MEASURES.items():
            line(name, lambda ratings, k=key: _estimate(ratings["against_labels"][k]))
    return table


def _agreement(pairs: list[Mapping[str, Any]]) -> Table:
    table = Table(title="agreement between judges, over the rows that both decided", box=box.SIMPLE_HEAD)
    table.add_column("judges")
    for column in ("rows", "agreement", MEASURES["kappa"]):
        table.add_column(column, justify="right")
    for pair in pairs:
        estimates = (_estimate(pair[key]) for key in ("agreement", "kappa"))
        table.add_row(escape(" and ".join(pair["judges"])), f"{pair['rows']:,}", *estimates)
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _count(outcome: Mapping[str, Any]) -> str:
    return f"{outcome['rows']:,} ({_percent(outcome['rate'])})" if outcome["rows"] else "0"


def _percent(share: float) -> str:
    """Formats a share in per cent, never rounded to 0 or 100 unless it is exactly that."""
    shown = f"{100 * share:.1f}"
    return f"{shown} %" if shown not in ("0.0", "100.0") or share in (0, 1) else f"{100 * share:.6g} %"


def _estimate(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate['value']:.4f} ({estimate['low']:.4f} – {estimate['high']:.4f})"
