"""The stages around CGPO: supervised fine-tuning, preferences, reward models, judge models, the DPO warm-up.

A stage is made from a configuration and writes a folder once; `cgpo.stages.artifacts` keeps the folders. Each name is
imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgpo.stages.fitting import FitSettings
    from cgpo.stages.judge_model import JudgeModelTraining
    from cgpo.stages.preferences import OfflinePairs, SampledPreferences
    from cgpo.stages.random_model import RandomModel
    from cgpo.stages.referee import RefereeAnnotator, RefereeLoss
    from cgpo.stages.reward_model import RewardModelTraining
    from cgpo.stages.sft import SupervisedFinetuning
    from cgpo.stages.suite import SuiteAnnotator, SuiteDemonstrations, SuiteJudgeSamples, SuitePolicy
    from cgpo.stages.warmup import DPOWarmup

_MODULES = {
    "DPOWarmup": "warmup",
    "FitSettings": "fitting",
    "JudgeModelTraining": "judge_model",
    "OfflinePairs": "preferences",
    "RandomModel": "random_model",
    "RefereeAnnotator": "referee",
    "RefereeLoss": "referee",
    "RewardModelTraining": "reward_model",
    "SampledPreferences": "preferences",
    "SuiteAnnotator": "suite",
    "SuiteDemonstrations": "suite",
    "SuiteJudgeSamples": "suite",
    "SuitePolicy": "suite",
    "SupervisedFinetuning": "sft",
}

__all__ = [
    "DPOWarmup",
    "FitSettings",
    "JudgeModelTraining",
    "OfflinePairs",
    "RandomModel",
    "RefereeAnnotator",
    "RefereeLoss",
    "RewardModelTraining",
    "SampledPreferences",
    "SuiteAnnotator",
    "SuiteDemonstrations",
    "SuiteJudgeSamples",
    "SuitePolicy",
    "SupervisedFinetuning",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
