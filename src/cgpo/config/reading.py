"""From what Hydra composed to a command's configuration: read once, whole, with every name and value checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar, overload

from omegaconf import DictConfig
from pydantic import ValidationError

from cgpo.bounds import marks_of
from cgpo.config.commands import (
    BenchmarkConfig,
    DashboardConfig,
    JudgeFileConfig,
    PlanConfig,
    ReportConfig,
    ReproduceConfig,
    TrainJudgeConfig,
)
from cgpo.config.components import Component, Value, artifacts, check_components, components
from cgpo.config.composing import MissingKeyError, members, tree_of, typed_overrides
from cgpo.config.evaluating import finished_evaluation, with_policies
from cgpo.config.evaluation import EvaluateConfig
from cgpo.config.judging import GIVEN_LATER, finished_judging
from cgpo.config.mistakes import fields_of, missing_line, mistake
from cgpo.config.references import check_artifacts, check_models, named_models
from cgpo.config.renamed import renamed
from cgpo.config.reproducing import finished_reproduction
from cgpo.config.sections import Example, Section
from cgpo.config.tasks import (
    check_names,
    check_panel,
    check_task,
    whole,
    with_judges,
    without_unchosen_judges,
    without_unread_model,
)
from cgpo.config.training import TrainConfig
from cgpo.errors import UserError, choose

S = TypeVar("S", bound=Section)
Tree = Mapping[str, Value]
SCHEMAS: Mapping[str, type[Section]] = {
    "train": TrainConfig,
    "sft": TrainConfig,
    "reward": TrainConfig,
    "warmup": TrainConfig,
    "evaluate": EvaluateConfig,
    "judge": JudgeFileConfig,
    "train-judge": TrainJudgeConfig,
    "benchmark": BenchmarkConfig,
    "reproduce": ReproduceConfig,
    "plan": PlanConfig,
    "report": ReportConfig,
    "dashboard": DashboardConfig,
}
"""What each command reads."""


@overload
def read_config(
    composed: DictConfig, command: Literal["train", "sft", "reward", "warmup"], run_folder: Path | None = None
) -> TrainConfig: ...
@overload
def read_config(
    composed: DictConfig, command: Literal["evaluate"], run_folder: Path | None = None
) -> EvaluateConfig: ...
@overload
def read_config(composed: DictConfig, command: Literal["judge"], run_folder: Path | None = None) -> JudgeFileConfig: ...
@overload
def read_config(
    composed: DictConfig, command: Literal["train-judge"], run_folder: Path | None = None
) -> TrainJudgeConfig: ...
@overload
def read_config(
    composed: DictConfig, command: Literal["benchmark"], run_folder: Path | None = None
) -> BenchmarkConfig: ...
@overload
def read_config(
    composed: DictConfig, command: Literal["reproduce"], run_folder: Path | None = None
) -> ReproduceConfig: ...
@overload
def read_config(composed: DictConfig, command: Literal["plan"], run_folder: Path | None = None) -> PlanConfig: ...
@overload
def read_config(composed: DictConfig, command: Literal["report"], run_folder: Path | None = None) -> ReportConfig: ...
@overload
def read_config(
    composed: DictConfig, command: Literal["dashboard"], run_folder: Path | None = None
) -> DashboardConfig: ...
@overload
def read_config(composed: DictConfig, command: str, run_folder: Path | None = None) -> Section: ...
def read_config(composed: DictConfig, command: str, run_folder: Path | None = None) -> Section:
    """What a command is told to do, typed and checked; nothing dear is imported for it.

    Args:
        composed: as Hydra composed it.
        command: `train`, `evaluate` and so on.
        run_folder: where the run is to lie, where it is not Hydra that chooses it.

    Raises:
        UserError: naming the key, what it must be, and the nearest right name.
    """
    schema = SCHEMAS[command]
    try:
        written = tree_of(composed, run_folder)
    except MissingKeyError as error:
        raise UserError(missing_line(error.key, schema)) from error
    tree = {key: components(key, value) for key, value in written.items()}
    return _finish(schema, tree, composed)


def _finish(schema: type[Section], tree: Tree, composed: DictConfig) -> Section:
    """Each command's own names, looked up in what it read."""
    for key in tree:
        if key not in schema.model_fields and (moved := renamed(key)):
            raise UserError(moved)
    if isinstance(tree.get("update"), Component):
        raise UserError(str(renamed("update._target_")))
    if issubclass(schema, TrainConfig):
        overrides = typed_overrides()
        if issubclass(schema, EvaluateConfig):
            return finished_evaluation(finished_run(_valid(schema, with_policies(_whole(tree))), overrides))
        return finished_run(_valid(schema, _whole(tree)), overrides)
    if schema is JudgeFileConfig:
        return finished_judging(_valid(JudgeFileConfig, tree), composed)
    found = _valid(schema, tree)
    if isinstance(found, ReproduceConfig):
        return finished_reproduction(found)
    if isinstance(found, BenchmarkConfig):
        if not found.benchmarks:
            offered = choose("", members("benchmarks"))
            raise UserError(f"benchmarks is missing: {offered}, or a list of them, benchmarks=[gsm8k,ifeval]")
        check_components(found.benchmarks)
        check_components(found.sandbox)
        check_models(iter([("model.path", found.model.path)]))
    if isinstance(found, TrainJudgeConfig):
        check_components(found.fit)
        check_models(iter([("model.path", found.model.path)]))
    return found


def _whole(tree: Tree) -> Tree:
    """A run's tree with its tasks made whole.

    Raises:
        UserError: there are none, or one needs a KL limit and has none.
    """
    _check_shared(tree)
    tasks = tree.get("tasks")
    if not tasks:
        raise UserError("tasks: choose at least one task")
    if not isinstance(tasks, Mapping):
        return tree
    return {**tree, "tasks": {name: whole(name, task, tree) for name, task in tasks.items()}}


def _check_shared(tree: Tree) -> None:
    """Checks what all tasks share before it is merged into them, so that errors name the key that was written."""
    for key in ("optimizer", "rollout"):
        shared = tree.get(key)
        if isinstance(shared, Component):
            limited = {name: value for name, value in shared.arguments.items() if (name, value) != ("kl_max", None)}
            check_components(replace(shared, arguments=limited, partial=True))


def _valid(schema: type[S], tree: Tree) -> S:
    for name, annotation in fields_of(schema).items():
        if tree.get(name) == "" and any(isinstance(mark, Example) for mark in marks_of(annotation)):
            raise UserError(missing_line(name, schema))
    try:
        return schema.model_validate(dict(tree))
    except ValidationError as error:
        raise mistake(error, schema, tree) from error


R = TypeVar("R", bound=TrainConfig)


def finished_run(config: R, overrides: Sequence[str]) -> R:
    """A run's configuration with its names looked up: what no task names is left out, and everything else is checked.

    Raises:
        UserError: naming the key and what it must be.
    """
    known = {*config.judges, *members("judges")}
    also: tuple[str, ...] = ()
    if isinstance(config, EvaluateConfig):
        also = config.evaluation.also_judge
        check_names("evaluation.also_judge", also, known)
    for name, task in config.tasks.items():
        check_task(name, task, config, known)
    check_panel(config.panel, known)
    for missing in {"metrics", "evaluation"} - config.callbacks.keys():
        raise UserError(f"callbacks.{missing} is missing: a run's summary needs it")
    callbacks = {name: with_judges(name, callback, config.judges) for name, callback in config.callbacks.items()}
    found = without_unchosen_judges(config, list(config.judges), overrides)
    used = found.model_copy(
        update={
            "callbacks": callbacks,
            "data": _used(config.data, [source for task in found.tasks.values() for source in task.data]),
            "reward": _used(config.reward, [task.reward for task in found.tasks.values()]),
            "judges": {
                name: without_unread_model(judge)
                for name, judge in _used(
                    config.judges, [judge for task in found.tasks.values() for judge in (*task.judges, *also)]
                ).items()
            },
        }
    )
    check_run(used)
    return used


def _used(named: Mapping[str, Component], used: Sequence[str]) -> dict[str, Component]:
    return {name: component for name, component in named.items() if name in used}


def check_run(config: TrainConfig) -> None:
    """Checks every class that a run names, with its arguments, and every model and recipe that it refers to.

    Raises:
        UserError: naming the key and what it must be.
    """
    if config.model.lora is not None:
        for key in ("reference_device", "reference_quantization"):
            if getattr(config, key) is not None:
                raise UserError(
                    f"{key}: with adapters (model.lora) the reference is the policy's own base; write {key}=null"
                )
    for task in config.tasks.values():
        check_components([task.optimizer, task.rollout, task.gold])
    parts: list[Value] = [config.data, config.reward, config.judges, config.callbacks, config.logger]
    check_components(parts)
    check_components(config.panel, later=GIVEN_LATER)
    tasks: list[Value] = [part for task in config.tasks.values() for part in (task.optimizer, task.rollout, task.gold)]
    named: list[Value] = [config.model.path, *tasks, *parts]
    check_artifacts(config.pipeline, named)
    check_components(config.pipeline)
    recipes = list(config.pipeline.values())
    check_models(iter([("model.path", config.model.path), *named_models([*tasks, *parts, *recipes])]))
    _check_recipes(config.pipeline)


def _check_recipes(pipeline: Mapping[str, Component]) -> None:
    """Refuses a recipe that refers to one that there is not, or to its own result, where the run asks for it or not."""
    for name, recipe in pipeline.items():
        if artifacts(recipe):
            check_artifacts(pipeline, f"artifact:{name}")
