"""What a run from Python was made of, written down as the configuration of a run is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cgpo.tasks.task import Task

MADE_BY = "cgpo.fit"
"""Stands in the record where a command's has the program."""


def record_of(tasks: Sequence[Task], policy: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run.

    Args:
        tasks: of the run.
        policy: where it began, in words.
        settings: plain values, such as seed and updates.
    """
    judges = {name: judge for task in tasks for name, judge in task.judges.items()}
    return {
        "made_by": MADE_BY,
        **settings,
        "model": {"path": policy},
        "optimizer": described(tasks[0].optimizer),
        "tasks": {task.name: _task(task) for task in tasks},
        "judges": {name: described(judge) for name, judge in judges.items()},
    }


def yaml_of(record: Mapping[str, Any]) -> str:
    """The record as a file."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(record)))


def _task(task: Task) -> dict[str, Any]:
    return {
        "prompts": len(task.prompts),
        "held_out": len(task.held_out),
        "reward": described(task.reward),
        "judges": list(task.judges),
        "gold": described(task.gold),
        "optimizer": described(task.optimizer),
        "rollout": described(task.sampler),
        "batch_size": task.batch_size,
        "responses_per_prompt": task.responses_per_prompt,
        "weight": task.weight,
    }


def described(value: object) -> Any:
    """An object by its class and those of its attributes that are plain; plain values as they are."""
    if value is None or isinstance(value, str | int | float):
        return _without_interpolation(value)
    if isinstance(value, Path):
        return _without_interpolation(str(value))
    kind: Any = value if hasattr(value, "__qualname__") else type(value)
    attributes: Mapping[str, object] = getattr(value, "__dict__", {})
    plain = {
        name: _without_interpolation(item)
        for name, item in attributes.items()
        if not name.startswith("_") and (item is None or isinstance(item, str | int | float))
    }
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **plain}


def _without_interpolation(value: Any) -> Any:
    """The value, of which OmegaConf would read a text with `${…}` as something else."""
    return value.replace("${", "$ {") if isinstance(value, str) else value
