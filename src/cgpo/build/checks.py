"""What only making it can tell: hardware, libraries, and whether cheap objects can be made; before anything dear is."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from cgpo.build.objects import make, make_with, without_artifacts
from cgpo.config import ARTIFACT, Component, TrainConfig, check_optimizer, named_models, within
from cgpo.errors import UserError
from cgpo.models.pretrained import require_on_hub
from cgpo.models.quantization import check_quantization
from cgpo.training.hardware import hardware_of


def check_run(config: TrainConfig) -> None:
    """Checks what can be checked without building anything dear.

    Raises:
        UserError: naming the key and what it must be.
    """
    hardware_of(config.trainer)
    if config.model.lora is not None and find_spec("peft") is None:
        raise UserError("model.lora: peft, which makes the adapters, is missing: pip install 'cgpo[lora]'")
    check_quantization("reference_quantization", config.reference_quantization)
    for component in within([config.reward, config.judges]):
        check_quantization(f"{component.where}.quantization", component.arguments.get("quantization"))
    check_recipes(config.pipeline)
    make_with(config.panel, judges={})
    for name, task in config.tasks.items():
        optimizer = make(task.optimizer)
        for part in without_artifacts(task.rollout):
            make(part)
        critic = optimizer.uses_values and config.update.critic_learning_rate is None
        check_optimizer(name, task, type(optimizer).__name__, optimizer.min_responses, critic)


def check_recipes(pipeline: Mapping[str, Component]) -> None:
    """Makes those parts of recipes that need nothing of the pipeline.

    Raises:
        UserError: naming the key and what is wrong with it.
    """
    for recipe in pipeline.values():
        for part in without_artifacts(recipe):
            make(part)


def check_hub(config: TrainConfig) -> None:
    """Checks that the hub ids of a run can be had, before anything dear is built.

    Raises:
        UserError: naming the key.
    """
    for key, path in [("model.path", config.model.path), *named_models([config.reward, config.judges])]:
        if not path.startswith(ARTIFACT):
            try:
                require_on_hub(path)
            except UserError as error:
                raise UserError(f"{key}: {error}") from error
