"""Which device the configuration's `auto` stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

import torch

from cgpo.config import Component, TrainConfig, TrainerConfig, Value, mapped

AUTO = "auto"
R = TypeVar("R", bound=TrainConfig)


def training_device(trainer: TrainerConfig | None = None) -> str:
    """The device that this process trains on: `cpu`, or the GPU of its place on its machine.

    Args:
        trainer: the group `trainer` of the configuration; `None` where the command has none.
    """
    accelerator = AUTO if trainer is None else trainer.options.get("accelerator", AUTO)
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "cpu"
    # Set by torchrun and by Lightning; under SLURM every process is started with the second.
    return f"cuda:{os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', '0'))}"


def placed(components: Mapping[str, Component], device: str) -> dict[str, Component]:
    """Components in which each argument `device` that is `auto` names a device."""

    def place(name: str, value: Value) -> Value:
        return device if (name, value) == ("device", AUTO) else value

    found = {name: mapped(component, place) for name, component in components.items()}
    return {name: component for name, component in found.items() if isinstance(component, Component)}


def placed_run(config: R, device: str) -> R:
    """A run's configuration in which each `device` that is `auto` names a device."""
    groups = ("reward", "judges", "callbacks")
    return config.model_copy(update={group: placed(getattr(config, group), device) for group in groups})
