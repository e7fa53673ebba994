"""Which device the configuration's `auto` stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
import torch


AUTO = "auto"


def training_device(trainer: Mapping[str, Any]) -> str:
    """The device that this process trains on: `cpu`, or the GPU of its place on its machine.

    Args:
        trainer: the group `trainer` of the configuration.
    """
    accelerator = (trainer.get("options") or {}).get("accelerator", AUTO)
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "cpu"
    # Set by torchrun and by Lightning; under SLURM every process is started with the second.
    return f"cuda:{os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', '0'))}"


def placed(config: Any, device: str) -> Any:
    """A configuration in which each key `device` whose value is `auto` names a device."""
    if isinstance(config, Mapping):
        return {
            key: device if (key, value) == ("device", AUTO) else placed(value, device) for key, value in config.items()
        }
    if isinstance(config, list):
        return [placed(value, device) for value in config]
    return config


def without_device(config: Any) -> Any:
    """A configuration without its keys `device`: where a model lies does not decide what it says."""
    if isinstance(config, Mapping):
        return {key: without_device(value) for key, value in config.items() if key != "device"}
    if isinstance(config, list):
        return [without_device(value) for value in config]
    return config
