"""A plan's values, checked before anything dear is built: numbers, classes and their arguments, paths, references."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from cgpo.composition.plan import Config
from cgpo.composition.wording import choose
from cgpo.errors import UserError
from cgpo.policy.causal import load_policy
from cgpo.pretrained import require_model_path, torch_dtype
from cgpo.stages.artifacts import PREFIX, references
from cgpo.trainer.fit import check_options

Rule = tuple[Callable[[Any], bool], str]


def _whole(least: int) -> Rule:
    return (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
        f"a whole number of at least {least}",
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


POSITIVE: Rule = (lambda value: _number(value) and value > 0, "a number above 0")
NOT_NEGATIVE: Rule = (lambda value: _number(value) and value >= 0, "a number of at least 0")
SHARE: Rule = (lambda value: _number(value) and 0 <= value <= 1, "a number from 0 to 1")

RULES: Mapping[str, Rule] = {
    "updates": _whole(1),
    "seed": _whole(0),
    "baseline": (lambda value: value in ("golden", "reference"), "golden or reference"),
    "weights.learning_rate": POSITIVE,
    "weights.warmup_steps": _whole(0),
    "weights.final_factor": SHARE,
    "weights.weight_decay": NOT_NEGATIVE,
    "weights.clip_norm": (lambda value: value is None or POSITIVE[0](value), "a number above 0, or null"),
    "callbacks.metrics.every": _whole(1),
    "callbacks.samples.every": _whole(1),
    "callbacks.samples.per_task": _whole(1),
    "callbacks.samples.per_evaluation": _whole(1),
    "callbacks.evaluation.prompts": _whole(0),
    "callbacks.evaluation.prompts_during": _whole(0),
    "callbacks.evaluation.every": _whole(0),
    "update.max_tokens": _whole(1),
}
TASK_RULES: Mapping[str, Rule] = {"batch_size": _whole(1), "responses_per_prompt": _whole(1), "weight": POSITIVE}
CLASSES = ("optimizer", "rollout", "data", "reward", "judges", "panel", "update", "callbacks", "logger")


def check_values(plan: Config) -> None:
    """Checks what can be checked without building anything dear.

    Raises:
        UserError: naming the key and what it must be.
    """
    _check_rules(plan, RULES, "")
    for name, task in plan["tasks"].items():
        _check_rules(task, TASK_RULES, f"tasks.{name}.")
    for missing in {"metrics", "evaluation"} - plan["callbacks"].keys():
        raise UserError(f"callbacks.{missing} is missing: a run's summary needs it")
    _check_arguments("model", load_policy, plan["model"], inspect.signature(load_policy).bind)
    for group in CLASSES:
        check_classes(group, plan[group])
    for name, task in plan["tasks"].items():
        for key in ("optimizer", "rollout", "gold"):
            check_classes(f"tasks.{name}.{key}", task[key])
    check_options(plan["trainer"]["options"])
    _check_models(plan)
    _check_references(plan)
    check_recipes(plan["pipeline"])
    _make_what_is_cheap(plan)


def check_recipes(pipeline: Mapping[str, Any]) -> None:
    """Checks the recipes of the pipeline.

    Raises:
        UserError: naming the key and what is wrong with it.
    """
    check_classes("pipeline", pipeline)
    for name, recipe in pipeline.items():
        for where, part in _without_references(f"pipeline.{name}", recipe):
            try_to_make(where, part)


def check_classes(where: str, config: Any) -> None:
    """Checks that every `_target_` can be imported and takes the arguments that it is given.

    Raises:
        UserError: naming the key and the arguments there are.
    """
    if isinstance(config, list):
        for index, value in enumerate(config):
            check_classes(f"{where}.{index}", value)
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        check_classes(f"{where}.{key}", value)
    if "_target_" not in config:
        return
    try:
        target = get_object(config["_target_"])
        signature = inspect.signature(target)
    except Exception as error:  # importing a user's module may raise anything
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{where}._target_ is {config['_target_']!r}: it cannot be imported: {first_line}") from error
    # A panel gets its judges, and a reward its model, when they are there.
    partial = config.get("_partial_") or where == "panel"
    _check_arguments(where, target, config, signature.bind_partial if partial else signature.bind)


def _check_arguments(where: str, target: Any, config: Mapping[str, Any], bind: Callable[..., Any]) -> None:
    arguments = {k: v for k, v in config.items() if not k.startswith("_")}
    parameters = inspect.signature(target).parameters
    if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        for unknown in arguments.keys() - parameters.keys():
            raise UserError(
                f"{where}.{unknown}: {target.__name__} takes no such argument; {choose(unknown, parameters)}"
            )
    try:
        bind(*config.get("_args_", ()), **arguments)
    except TypeError as error:
        raise UserError(f"{where}: {target.__name__}: {error}") from error


def _check_rules(config: Config, rules: Mapping[str, Rule], where: str) -> None:
    for key, (holds, needed) in rules.items():
        node: Any = config
        *parents, last = key.split(".")
        for parent in parents:
            node = node.get(parent) or {}
        if last in node and not holds(node[last]):
            raise UserError(f"{where}{key} is {node[last]!r}: it must be {needed}")


def _check_models(plan: Config) -> None:
    torch_dtype(plan["model"]["dtype"])
    named = {"model.path": plan["model"]["path"], "reference": plan["reference"]}
    for group, argument in (("reward", "path"), ("judges", "model")):
        for name, config in plan[group].items():
            # A class of the user's own may call something else `path`.
            if str(config.get("_target_", "")).startswith("cgpo."):
                named[f"{group}.{name}.{argument}"] = config.get(argument)
    for key, path in named.items():
        if path is None or str(path).startswith(PREFIX):
            continue
        try:
            require_model_path(str(path))
        except UserError as error:
            raise UserError(f"{key}: {error}") from error


def _check_references(plan: Config) -> None:
    recipes = plan["pipeline"]

    def follow(config: Any, way: tuple[str, ...]) -> None:
        for name in references(config):
            if name not in recipes:
                raise UserError(f"{PREFIX}{name}: no recipe of that name under pipeline; {choose(name, recipes)}")
            if name in way:
                raise UserError(f"pipeline: {' → '.join((*way, name))}: a recipe needs its own result")
            follow(recipes[name], (*way, name))

    follow([plan[key] for key in ("model", "reference", "reward", "judges")], ())


def _make_what_is_cheap(plan: Config) -> None:
    try_to_make("", plan["rollout"])
    try_to_make("", plan["update"])
    try_to_make("", {**plan["panel"], "judges": {}})
    for name, task in plan["tasks"].items():
        where = f"tasks.{name}"
        optimizer = try_to_make(f"{where}.optimizer", task["optimizer"])
        try_to_make(f"{where}.rollout", task["rollout"])
        least = optimizer.min_responses
        if task["responses_per_prompt"] < least:
            raise UserError(
                f"{where}.responses_per_prompt is {task['responses_per_prompt']}: "
                f"{type(optimizer).__name__} needs at least {least}"
            )


def _without_references(where: str, config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The largest parts of a recipe that can be made before any other recipe is."""
    if isinstance(config, Mapping) and "_target_" in config and not references(config):
        yield where, config
    elif isinstance(config, Mapping):
        for key, value in config.items():
            yield from _without_references(f"{where}.{key}", value)


def try_to_make(where: str, config: Mapping[str, Any]) -> Any:
    """An object of a configuration without references.

    Raises:
        UserError: naming the key and what is wrong with its value.
    """
    prefix = f"{where}: " if where else ""
    try:
        return instantiate(config, _convert_="all")
    except UserError as error:
        raise UserError(f"{prefix}{error}") from error
    except (InstantiationException, TypeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        raise UserError(f"{prefix}{str(cause).splitlines()[0]}") from error
