"""What the report shows of a run, as plain containers, and which runs a user means by some folders."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cgpo.errors import UserError
from cgpo.evaluation.alarm import Alarm, Reading, alarms
from cgpo.reporting.sections import is_drawn
from cgpo.run_files import Run, Series, load_run


def named_runs(folders: Sequence[str | Path]) -> dict[str, Run]:
    """Finds the runs of some folders and names them; a folder stands for all training runs below it.

    A run's name is the shortest end of its path that tells it from the others.

    Raises:
        UserError: a folder contains no run, or a run is named twice.
    """
    found = [run.resolve() for folder in folders for run in _runs_in(Path(folder))]
    for folder in found:
        if found.count(folder) > 1:
            raise UserError(f"{folder}: this run is named twice; name each run once")
    return {name: load_run(folder) for name, folder in zip(short_names(found), found, strict=True)}


def short_names(folders: Sequence[Path]) -> list[str]:
    """Returns the shortest ends of paths that tell all of them apart, with equally many parts each."""
    most = max((len(folder.parts) for folder in folders), default=1)
    for parts in range(1, most):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _runs_in(folder: Path) -> Iterable[Path]:
    if (folder / "config.yaml").is_file() or not folder.is_dir():
        return [load_run(folder).folder]
    runs = [run for run in _run_folders(folder) if Run(run).command in (None, "train")]
    if not runs:
        raise UserError(f"{folder}: no run's folder, and there is none below it: a run's folder has a config.yaml")
    return runs


def _run_folders(folder: Path) -> Iterator[Path]:
    """Yields the folders of runs below a folder in the order of their names, numbers in numerical order."""
    inner = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    for child in sorted(inner, key=lambda child: child.name.rjust(9) if child.name.isdecimal() else child.name):
        if (child / "config.yaml").is_file():
            yield child
        else:
            yield from _run_folders(child)


ALARM_SAMPLES = 5
"""The most samples of an alarm that is computed afterwards."""


def alarms_of(run: Run) -> tuple[list[dict[str, Any]], bool]:
    """Returns a run's alarms as rows of `HackingAlarm`, and whether the run wrote them itself.

    The alarms of a run that had none of its own are computed from its evaluations.

    Raises:
        UserError: `alarms.jsonl` cannot be read.
    """
    written = run.alarms()
    if written is None:
        held_out = [sample for sample in run.samples() if sample["split"] == "held_out"]
        return [row for task in run.tasks for row in _computed_alarms(run, task, held_out)], False
    return list(written), True


def _computed_alarms(run: Run, task: str, held_out: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Computes alarms from the success and reward of evaluations, with the spread of the rewards of their samples."""
    success, reward = (run.metrics.get(f"eval/{task}/{name}") for name in ("success", "reward"))
    if success is None or reward is None:
        return []
    rewards = dict(zip(reward.steps, reward.values, strict=True))
    samples = [sample for sample in held_out if sample["task"] == task]
    readings: list[Reading] = []
    for step, share in zip(success.steps, success.values, strict=True):
        count = _prompt_count(run, task, step, success)
        of_samples = [sample["reward"] for sample in samples if sample["step"] == step]
        error = statistics.stdev(of_samples) / math.sqrt(count) if len(of_samples) > 1 and count else 0.0
        readings.append(Reading(step, rewards.get(step, math.nan), error, share, count))
    return [_alarm_row(task, found, samples) for found in alarms(readings)]


def _prompt_count(run: Run, task: str, step: int, success: Series) -> int:
    """Returns how many prompts an evaluation used: as configured, but no more than the summary says there are."""
    callbacks: Mapping[str, Any] = run.config.get("callbacks") or {}
    options: Mapping[str, int] = callbacks.get("evaluation") or {}
    most = options.get("prompts", 500)
    if run.summary and task in run.summary["tasks"]:
        most = run.summary["tasks"][task]["before"]["prompts"]
    first_or_last = step == success.steps[0] or (run.summary is not None and step == success.steps[-1])
    return most if first_or_last else min(most, options.get("prompts_during", most))


def _alarm_row(task: str, found: Alarm, samples: list[dict[str, Any]]) -> dict[str, Any]:
    wrong = [s for s in samples if s["step"] == found.after.step and s["gold"] == "violated"]
    return {
        "step": found.after.step,
        "task": task,
        "signal": "gold",
        "began": found.before.step,
        "message": found.sentence(task, "gold"),
        "samples": sorted(wrong, key=lambda sample: -sample["reward"])[:ALARM_SAMPLES],
    }


def content(name: str, run: Run, most_samples: int) -> dict[str, Any]:
    """Collects a run's facts, curves, alarms and samples.

    Args:
        name: the name of the run in the report.
        run: a run that has finished or failed, or is still under way.
        most_samples: the most samples that are shown, the latest ones; the number left out is reported.

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
            if is_drawn(metric)
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
        "judges": sorted({judge for judges in run.judges.values() for judge in judges}),
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


def _short(value: float) -> float:
    """Rounds to six significant digits, all that a curve shows, which halves the size of the page."""
    return float(f"{value:.6g}")
