"""A run's alarms: those that it wrote, or, where it had no alarm, those that its metrics come to."""

from __future__ import annotations

import math
import statistics
from typing import Any

from cgpo.alarm import Alarm, Reading, alarms
from cgpo.runs import Run, Series

SAMPLES = 5
"""Most samples of an alarm that is worked out afterwards."""


def alarms_of(run: Run) -> tuple[list[dict[str, Any]], bool]:
    """Rows as `HackingAlarm` writes them, and whether the run itself wrote them.

    Raises:
        UserError: `alarms.jsonl` cannot be read.
    """
    own = run.alarms()
    if own is None:
        kept = [sample for sample in run.samples() if sample["split"] == "held_out"]
        return [row for task in run.tasks for row in _worked_out(run, task, kept)], False
    return list(own), True


def _worked_out(run: Run, task: str, held_out: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """From the success and the reward of evaluations; the reward's spread is that of the samples kept of them."""
    success, reward = (run.metrics.get(f"gold/{task}/{name}") for name in ("success", "reward"))
    if success is None or reward is None:
        return []
    rewards = dict(zip(reward.steps, reward.values, strict=True))
    kept = [sample for sample in held_out if sample["task"] == task]
    readings = []
    for step, share in zip(success.steps, success.values, strict=True):
        count = _prompts(run, task, step, success)
        of_samples = [sample["reward"] for sample in kept if sample["step"] == step]
        error = statistics.stdev(of_samples) / math.sqrt(count) if len(of_samples) > 1 and count else 0.0
        readings.append(Reading(step, rewards.get(step, math.nan), error, share, count))
    return [_row(task, found, kept) for found in alarms(readings)]


def _prompts(run: Run, task: str, step: int, success: Series) -> int:
    """How many prompts an evaluation asked: as configured, and no more than the summary says that there are."""
    options = (run.config.get("callbacks") or {}).get("evaluation") or {}
    most = options.get("prompts", 500)
    if run.summary and task in run.summary["tasks"]:
        most = run.summary["tasks"][task]["before"]["prompts"]
    first_or_last = step == success.steps[0] or (run.summary is not None and step == success.steps[-1])
    return most if first_or_last else min(most, options.get("prompts_during", most))


def _row(task: str, found: Alarm, kept: list[dict[str, Any]]) -> dict[str, Any]:
    wrong = [s for s in kept if s["step"] == found.after.step and s["gold"] == "violated"]
    return {
        "step": found.after.step,
        "task": task,
        "signal": "gold",
        "began": found.before.step,
        "message": found.sentence(task, "gold"),
        "samples": sorted(wrong, key=lambda sample: -sample["reward"])[:SAMPLES],
    }
