"""Draws reward against success for two runs: `python examples/plot_runs.py RUN_WITH_JUDGES RUN_WITHOUT picture.svg`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from cgpo.run_files import Run, load_run

SERIES = (("with judges", "#1b7837"), ("without judges", "#b2182b"))


def draw(runs: list[Run], picture: Path) -> None:
    """One panel a task; a line a run, from its first evaluation (open) to its last (filled)."""
    tasks = runs[0].tasks
    figure, panels = plt.subplots(1, len(tasks), figsize=(2.6 * len(tasks), 2.9), sharey=True, layout="constrained")
    for panel, task in zip(panels, tasks, strict=True):
        for (label, colour), run in zip(SERIES, runs, strict=True):
            reward, success = (run.metrics[f"eval/{task}/{name}"].values for name in ("reward", "success"))
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
    draw([load_run(folder) for folder in sys.argv[1:3]], Path(sys.argv[3]))
