"""A sweep: a run that fails does not end it, and it ends with a table over the runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ERROR = "error.txt"
"""What a run of a sweep leaves that failed: what went wrong."""


def record_failure(folder: Path, message: str) -> None:
    """Says what went wrong with one run of a sweep, and leaves it in the run's folder."""
    print(f"error: {folder}: {message}", file=sys.stderr, flush=True)
    (folder / ERROR).write_text(f"{message}\n")


class SweepTable(Callback):
    """Shows each run's overrides and its tasks' success and reward when the sweep ends; writes `sweep.json`.

    It reads the runs' folders, so that it does not matter which process ran them.
    """

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Shows the table; a sweep in which a run failed ends with exit status 1."""
        sweep = Path(config.hydra.sweep.dir)
        rows = list(_runs(sweep))
        if not rows:
            return
        (sweep / "sweep.json").write_text(json.dumps(rows, indent=2))
        Console().print(sweep_table(rows))
        failed = [row for row in rows if "error" in row]
        if failed:
            # Hydra swallows exceptions of its callbacks, so that only an exit gets through.
            raise SystemExit(f"error: {len(failed)} of {len(rows)} runs failed; each one's {ERROR} says why")


def _runs(sweep: Path) -> Iterator[dict[str, Any]]:
    """Each run's overrides with its summary, or with what went wrong; in the order of the runs."""
    folders = [file.parents[1] for file in sweep.glob("*/.hydra/overrides.yaml")]
    for folder in sorted(folders, key=lambda folder: (len(folder.name), folder.name)):
        overrides = list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))
        if (folder / "summary.json").is_file():
            yield {"overrides": overrides, **json.loads((folder / "summary.json").read_text())}
        elif (folder / ERROR).is_file():
            yield {"overrides": overrides, "error": (folder / ERROR).read_text().strip()}


def sweep_table(rows: Sequence[dict[str, Any]]) -> Table:
    """For each task one row a run: success and reward, before → after; what the runs have in common is not named.

    Args:
        rows: the run's `overrides`, with its `summary.json`, or with what went wrong as `error`.
    """
    every = [set[str](row["overrides"]) for row in rows]
    common = set[str].intersection(*every) if len(rows) > 1 else set[str]()
    named = [(" ".join(override for override in row["overrides"] if override not in common), row) for row in rows]
    table = Table(title="held-out prompts, before → after", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("task", "run", "success", "reward"):
        table.add_column(column, overflow="fold")
    for task in dict.fromkeys(task for row in rows for task in row.get("tasks", {})):
        label = task
        for name, row in named:
            if task in row.get("tasks", {}):
                table.add_row(label, escape(name), *_changes(row["tasks"][task]))
                label = ""
        table.add_section()
    for name, row in named:
        if "error" in row:
            table.add_row("[red]failed[/red]", escape(name), f"see {ERROR}")
    return table


def _changes(labelled: dict[str, Any]) -> tuple[str, str]:
    before, after = labelled["before"], labelled["after"]
    success = "–" if after["success"] is None else f"{before['success']:.2f} → {after['success']:.2f}"
    return success, f"{before['reward']:+.2f} → {after['reward']:+.2f}"
