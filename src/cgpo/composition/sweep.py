"""A table over the runs of a sweep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table


class SweepTable(Callback):
    """Shows each run's overrides and its tasks' success and reward when the sweep ends; writes `sweep.json`."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, Path]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Remembers a run."""
        overrides = ", ".join(o for o in job_return.overrides or [] if not o.startswith("hydra"))
        self._runs.append((overrides or "defaults", Path(config.hydra.runtime.output_dir)))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Shows the table."""
        written = [(name, folder / "summary.json") for name, folder in self._runs]
        rows = [(name, json.loads(file.read_text())) for name, file in written if file.is_file()]
        if not rows:
            return
        sweep = Path(config.hydra.sweep.dir)
        (sweep / "sweep.json").write_text(json.dumps([{"run": name, **summary} for name, summary in rows], indent=2))
        Console().print(sweep_table(rows))


def sweep_table(rows: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    """One row a run: success before → after and reward before → after of each task.

    Args:
        rows: the run's overrides, and its `summary.json`.
    """
    tasks = list(dict.fromkeys(task for _, summary in rows for task in summary["tasks"]))
    table = Table(title="success (reward) on held-out prompts, before → after")
    table.add_column("run", overflow="fold")
    for task in tasks:
        table.add_column(task, overflow="fold")
    for name, summary in rows:
        table.add_row(name, *(_cell(summary["tasks"].get(task)) for task in tasks))
    return table


def _cell(labelled: dict[str, Any] | None) -> str:
    if labelled is None:
        return "–"
    before, after = labelled["before"], labelled["after"]
    success = "–" if after["success"] is None else f"{before['success']:.2f} → {after['success']:.2f}"
    return f"{success} ({before['reward']:+.2f} → {after['reward']:+.2f})"
