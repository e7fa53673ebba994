"""An evaluation as tables for people: one for each task, with policies side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from cgpo.evaluation.comparison import GREEDY, SAMPLED

SIDE_BY_SIDE = 3
"""The number of policies that fit side by side on eighty columns."""
LABELS = {
    "success": "success",
    "pass_at": "pass@{}",
    "reward": "reward",
    "win_rate": "wins by {}",
    "ties": "ties by {}",
    "uncompared": "not compared, {}",
    "kl": "KL (nats)",
    "length": "length (tokens)",
    "satisfied": "satisfied",
    "violation_rate": "{} violated",
    "undecided": "{} undecided",
    "measures": "{}",
}
"""The numbers that are shown, in order; `evaluation.json` has more."""
RARE = frozenset({"undecided", "uncompared"})
"""Numbers that are shown only if they are not 0."""
OF_GREEDY = ("success", "reward", "length", "win_rate", "ties")
"""The numbers of greedy responses that are shown beside those of sampled ones."""
Path = tuple[str, ...]


def tables(evaluation: Mapping[str, Any]) -> list[Table]:
    """Makes the tables of an `evaluation.json`: for each task one for every three policies."""
    names = list(evaluation["policies"])
    parts = [names[start : start + SIDE_BY_SIDE] for start in range(0, len(names), SIDE_BY_SIDE)]
    tasks = evaluation["policies"][names[0]]["tasks"]
    return [_table(evaluation, task, part) for task in tasks for part in parts]


def _table(evaluation: Mapping[str, Any], task: str, names: Sequence[str]) -> Table:
    of_task = {name: evaluation["policies"][name]["tasks"][task] for name in names}
    gaps = {
        name: evaluation["differences"]["policies"].get(name, {"tasks": {task: {}}})["tasks"][task] for name in names
    }
    first = evaluation["differences"]["from"]
    caption = "± half of the 95 % interval" + (f"; * differs from {first}" if len(evaluation["policies"]) > 1 else "")
    prompts = of_task[names[0]]["prompts"]
    table = Table(title=f"{task}, {prompts} held-out prompts", caption=escape(caption), box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold", max_width=32)
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    modes = [mode for mode in (SAMPLED, GREEDY) if mode in of_task[names[0]]]
    for mode in modes:
        table.add_section()
        table.add_row(f"[bold]{mode}[/]")
        for label, path in _rows([of_task[name][mode] for name in names], mode == GREEDY and SAMPLED in modes):
            cells = (_cell(_at(of_task[name][mode], path), _at(gaps[name].get(mode), path)) for name in names)
            table.add_row(f" {escape(label)}", *cells)
    return table


def _rows(found: Sequence[Mapping[str, Any]], short: bool) -> Iterator[tuple[str, Path]]:
    """Yields the rows that have something to show, in order."""
    for key, label in LABELS.items():
        if short and key not in OF_GREEDY:
            continue
        inner = [(name,) for name in found[0].get(key, {})] if "{}" in label else [()]
        for names in inner:
            path = (key, *names)
            if path == ("pass_at", "1"):
                continue  # the success once more
            estimates = [_at(of_policy, path) for of_policy in found]
            if any(e and (e["value"] or key not in RARE) for e in estimates):
                yield label.format(*names), path


def _at(found: Mapping[str, Any] | None, path: Path) -> Mapping[str, float] | None:
    node: Any = found
    for name in path:
        node = None if node is None else node.get(name)
    return node


def _cell(estimate: Mapping[str, float] | None, gap: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "–"
    differs = gap is not None and (gap["low"] > 0 or gap["high"] < 0)
    half = (estimate["high"] - estimate["low"]) / 2
    # Rounding first avoids -0.00.
    return f"{round(estimate['value'], 2) + 0.0:.2f} ±{half:.2f}{'*' if differs else ' '}"
