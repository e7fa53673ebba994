"""The schema: what every command reads, each key with its type, its bounds, its unit and a sentence.

Hydra composes the configuration, `read_config` reads it once into frozen typed objects, and nothing below this room and
`cgpo.build` sees a key. Nothing dear is imported here: a wrong key is told before torch is there.
"""

from cgpo.config.commands import (
    BenchmarkConfig,
    JudgeFileConfig,
    MethodConfig,
    PlanConfig,
    ReproduceConfig,
    StrategyConfig,
    TrainJudgeConfig,
)
from cgpo.config.components import ARTIFACT, Component, Plain, Value, artifacts, leaves, mapped, plain, within
from cgpo.config.composing import ROOTS, choices, compose, config_folder, members
from cgpo.config.describing import Group, KeyDescription, describe, groups
from cgpo.config.evaluation import EvaluateConfig, EvaluationConfig
from cgpo.config.mistakes import unknown_key
from cgpo.config.models import LoraConfig, ModelConfig, OptimConfig, TrainerConfig, UpdateConfig
from cgpo.config.reading import SCHEMAS, read_config
from cgpo.config.reference import reference_page
from cgpo.config.renamed import renamed
from cgpo.config.sections import Section
from cgpo.config.training import TaskConfig, TrainConfig

__all__ = [
    "ARTIFACT",
    "ROOTS",
    "SCHEMAS",
    "BenchmarkConfig",
    "Component",
    "EvaluateConfig",
    "EvaluationConfig",
    "Group",
    "JudgeFileConfig",
    "KeyDescription",
    "LoraConfig",
    "MethodConfig",
    "ModelConfig",
    "OptimConfig",
    "Plain",
    "PlanConfig",
    "ReproduceConfig",
    "Section",
    "StrategyConfig",
    "TaskConfig",
    "TrainConfig",
    "TrainJudgeConfig",
    "TrainerConfig",
    "UpdateConfig",
    "Value",
    "artifacts",
    "choices",
    "compose",
    "config_folder",
    "describe",
    "groups",
    "leaves",
    "mapped",
    "members",
    "plain",
    "read_config",
    "reference_page",
    "renamed",
    "unknown_key",
    "within",
]
