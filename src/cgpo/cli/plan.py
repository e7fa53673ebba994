"""The memory of a run before it begins: `python -m cgpo.cli.plan experiment=llama_70b`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from cgpo.build.plan import judge_choices
from cgpo.build.planning import job_of, planning_plan, strategy_of
from cgpo.cli.command import run_command
from cgpo.memory.estimate import estimate
from cgpo.memory.job import Job, Strategy
from cgpo.memory.tables import GB, comparison, markdown, name_of, report, shown
from cgpo.runs.process import quiet, screen

COLUMNS = ("all weights", "LoRA, rank 16")


def plan(config: DictConfig) -> None:
    """Prints the estimate of one run, or of its model under several strategies.

    Raises:
        UserError: the configuration is not what it should be, or the size of a model is not known.
    """
    quiet()
    console, _ = screen()
    found = planning_plan(config, judge_choices(config))
    job, settings = job_of(found), found["plan"]
    if settings["compare"]:
        precision = job.strategy.precision
        others = [strategy_of({"precision": precision, **other}) for other in settings["strategies"]]
        rows = [_row(job, other) for other in others]
        output: Any = [
            {"strategy": name, "gpu_gb": {what: peak / GB for what, peak in zip(COLUMNS, peaks, strict=True)}}
            for name, peaks in rows
        ]
        pictures = {"table": lambda: comparison(rows, COLUMNS), "markdown": lambda: markdown(rows, COLUMNS)}
    else:
        room = (settings["gpu_gb"], settings["host_gb"], settings["usable"])
        output = report(estimate(job), *room)
        pictures = dict.fromkeys(("table", "markdown"), lambda: shown(output, *room))
    if settings["format"] == "json":
        print(json.dumps(output, indent=2))
    else:
        console.print(pictures[settings["format"]](), highlight=False, soft_wrap=True)


def _row(job: Job, strategy: Strategy) -> tuple[str, tuple[float, float]]:
    """A strategy with the peaks of training all weights and of training adapters, in bytes of a GPU."""
    whole = replace(job, strategy=strategy, rank=None)
    adapters = replace(whole, rank=16, reference=None)
    return name_of(strategy), (estimate(whole).most, estimate(adapters).most)


if __name__ == "__main__":
    run_command(plan, "plan", sweeps=False)
