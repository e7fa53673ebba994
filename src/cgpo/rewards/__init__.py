"""Reward models: a scalar for each response, higher is better.

Each name is imported when it is first used, so that a reward of your own does not load a language model's library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgpo.rewards.bradley_terry import BradleyTerryReward, ConstantReward
    from cgpo.rewards.function import FunctionReward

_MODULES = {
    "BradleyTerryReward": "bradley_terry",
    "ConstantReward": "bradley_terry",
    "FunctionReward": "function",
}

__all__ = ["BradleyTerryReward", "ConstantReward", "FunctionReward"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
