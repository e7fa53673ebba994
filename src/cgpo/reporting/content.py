"""What the page shows of a run, as plain containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cgpo.reporting.alarms import alarms_of
from cgpo.runs import Run

SHOWN = re.compile(
    r"gold/.+/(success|reward|kl)|judges/.+/(violation_rate|satisfied_rate)|judges/.+/agreement/.+"
    r"|reward/.+/(raw|given_violation|given_satisfied)|kl/.+|rollout/.+/length|time/.+"
)
"""The metrics that the page draws."""


def content(name: str, run: Run, most_samples: int) -> dict[str, Any]:
    """A run's facts, curves, alarms and samples.

    Args:
        name: what it is called.
        run: finished, failed, or still under way.
        most_samples: of a longer `samples.jsonl` the last ones are shown, and how many are left out is said.

    Raises:
        UserError: a file of the run cannot be read.
    """
    samples = list(run.samples())
    left_out = max(0, len(samples) - most_samples)
    alarms, watched = alarms_of(run)
    return {
        "name": name,
        "folder": str(run.folder),
        "tasks": run.tasks,
        **_facts(run),
        "metrics": {
            metric: {"steps": series.steps, "values": [_short(value) for value in series.values]}
            for metric, series in run.metrics.items()
            if SHOWN.fullmatch(metric)
        },
        "alarms": alarms,
        "watched": watched,
        "samples": samples[left_out:],
        "left_out": left_out,
    }


def _facts(run: Run) -> dict[str, Any]:
    config, summary = run.config, run.summary
    error = run.folder / "error.txt"
    return {
        "optimizer": summary["optimizer"] if summary else _class_name(config.get("optimizer")),
        "judges": _judges(config),
        "seed": config.get("seed"),
        "updates": max((series.steps[-1] for series in run.metrics.values()), default=0),
        "planned": config.get("updates"),
        "state": "finished" if summary else "failed" if error.is_file() else "under way",
        "error": error.read_text().strip() if error.is_file() else None,
        "overrides": run.overrides,
        "findings": summary["findings"] if summary else [],
    }


def _class_name(config: Any) -> str | None:
    return str(config["_target_"]).rpartition(".")[2] if config and "_target_" in config else None


def _judges(config: Mapping[str, Any]) -> list[str]:
    """Those that a task names, among those that the run chose."""
    named: set[str] = set()
    for task in config["tasks"].values():
        judges = task.get("judges") or []
        named |= {judges} if isinstance(judges, str) else set(judges)
    return sorted(named & (config.get("judges") or {}).keys())


def _short(value: float) -> float:
    """Six significant digits: what a curve shows of a number, in half the bytes."""
    return float(f"{value:.6g}")
