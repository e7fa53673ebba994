"""Draws reward against success for two runs: `python examples/plot_runs.py RUN_WITH_JUDGES RUN_WITHOUT picture.svg`."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

SERIES = (("with judges", "#1b7837"), ("without judges", "#b2182b"))


def evaluations(run: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Task → `success` and `reward` → (update, value), from a run's `metrics.csv`."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    with (run / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            for column, value in row.items():
                if column.startswith("gold/") and value:
                    _, task, name = column.split("/")
                    found[task][name].append((int(row["step"]), float(value)))
    return found


def draw(runs: list[Path], picture: Path) -> None:
    """One panel a task; a line a run, from its first evaluation (open) to its last (filled)."""
    data = [evaluations(run) for run in runs]
    tasks = list(data[0])
    figure, panels = plt.subplots(1, len(tasks), figsize=(2.6 * len(tasks), 2.9), sharey=True, layout="constrained")
    for panel, task in zip(panels, tasks, strict=True):
        for (label, colour), of_run in zip(SERIES, data, strict=True):
            reward = [value for _, value in of_run[task]["reward"]]
            success = [value for _, value in of_run[task]["success"]]
            panel.plot(reward, success, color=colour, label=label, linewidth=1.5)
            panel.plot(reward[:1], success[:1], "o", color=colour, markerfacecolor="white")
            panel.plot(reward[-1:], success[-1:], "o", color=colour)
        panel.set_title(task.replace("_", " "), fontsize=9)
        panel.set_xlabel("learned reward", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.2)
    panels[0].set_ylabel("success on held-out prompts", fontsize=8)
    panels[0].set_ylim(0, 1.02)
    panels[0].legend(frameon=False, fontsize=7, loc="lower left")
    plt.rcParams["svg.hashsalt"] = "cgpo"
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    draw([Path(sys.argv[1]), Path(sys.argv[2])], Path(sys.argv[3]))
