"""What was measured on a GPU, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

STAGES = ("rollout", "reward", "reference", "update", "step")


def tables(parts: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """Steps, with TRL's among them, and decoding."""
    numbers = ("s a step", *STAGES, "tokens/s", "of peak", "peak GiB")
    steps = _table("one step: seconds by stage, response tokens a second, the update's share of the peak", numbers)
    decoding = _table(
        "decoding: tokens a second, and the share of the peak of memory bandwidth",
        ("rows", "tokens/s", "without prompts", "of peak", "peak GiB"),
    )
    for part in parts:
        for row in part["rows"]:
            if part["kind"] == "decode":
                cells = [row[key] for key in ("rows", "tokens_a_second", "decoding_tokens_a_second", "bandwidth_share")]
                decoding.add_row(part["model"], row["variant"], *map(_cell, [*cells, row.get("peak_gib")]))
            else:
                label = row["variant"] if part["kind"] == "step" else f"TRL {row['variant']}"
                stages = [row.get("stages", {}).get(stage) for stage in STAGES]
                last = [row["tokens_a_second"], row.get("update_utilisation"), row.get("peak_gib")]
                steps.add_row(part["model"], label, *map(_cell, [row["seconds"], *stages, *last]))
    yield steps
    yield decoding


def _table(title: str, numbers: Sequence[str]) -> Table:
    table = Table(title=title)
    for column in ("model", ""):
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def _cell(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:,.0f}" if number >= 100 or isinstance(number, int) else f"{number:.3g}"
