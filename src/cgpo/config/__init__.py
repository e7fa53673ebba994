"""The schema: what every command reads, each key with its type, its bounds, its unit and a sentence.

Hydra composes the configuration, `read_config` reads it once into frozen typed objects, and nothing below this room and
`cgpo.build` sees a key. Nothing dear is imported here: a wrong key is told before torch is there.
"""

from cgpo.config.commands import (
    BenchmarkConfig,
    DashboardConfig,
    JudgeFileConfig,
    MethodConfig,
    PlanConfig,
    ReportConfig,
    ReproduceConfig,
    StrategyConfig,
    TrainJudgeConfig,
)
from cgpo.config.components import ARTIFACT, Component, Plain, Value, artifacts, leaves, mapped, plain, within
from cgpo.config.composing import ROOTS, choices, compose, config_folder, members
from cgpo.config.describing import Group, KeyDescription, describe, groups
from cgpo.config.evaluating import policy_keys
from cgpo.config.evaluation import EvaluateConfig, EvaluationConfig
from cgpo.config.mistakes import checked, unknown_key
from cgpo.config.models import LoraConfig, ModelConfig, OptimConfig, Precision, Strategy, TrainerConfig, UpdateConfig
from cgpo.config.reading import SCHEMAS, read_config
from cgpo.config.reference import reference_page
from cgpo.config.references import check_models, named_models, require_model_path
from cgpo.config.renamed import renamed
from cgpo.config.sections import Section
from cgpo.config.tasks import check_optimizer
from cgpo.config.training import TaskConfig, TrainConfig

__all__ = [
    "ARTIFACT",
    "ROOTS",
    "SCHEMAS",
    "BenchmarkConfig",
    "Component",
    "DashboardConfig",
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
    "Precision",
    "ReportConfig",
    "ReproduceConfig",
    "Section",
    "Strategy",
    "StrategyConfig",
    "TaskConfig",
    "TrainConfig",
    "TrainJudgeConfig",
    "TrainerConfig",
    "UpdateConfig",
    "Value",
    "artifacts",
    "check_models",
    "check_optimizer",
    "checked",
    "choices",
    "compose",
    "config_folder",
    "describe",
    "groups",
    "leaves",
    "mapped",
    "members",
    "named_models",
    "plain",
    "policy_keys",
    "read_config",
    "reference_page",
    "renamed",
    "require_model_path",
    "unknown_key",
    "within",
]
