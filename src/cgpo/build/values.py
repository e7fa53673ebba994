"""A plan's values, checked before anything dear is built: numbers, classes and their arguments, paths, references."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from cgpo.build.artifacts import check_recipes, check_references, without_references
from cgpo.build.components import check_arguments, check_classes, try_to_make
from cgpo.build.models import check_model_paths, named_models
from cgpo.build.plan import Config
from cgpo.errors import UserError
from cgpo.models.adapters import lora_settings
from cgpo.models.pretrained import torch_dtype
from cgpo.models.quantization import check_quantization
from cgpo.policy.causal import load_policy
from cgpo.training.callbacks.alarm import KINDS
from cgpo.training.callbacks.checkpoints import MONITORS
from cgpo.training.hardware import hardware_of

Rule = tuple[Callable[[Any], bool], str]


def whole(least: int) -> Rule:
    """A whole number of at least so much."""
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
    "updates": whole(1),
    "seed": whole(0),
    "baseline": (lambda value: value in ("golden", "reference"), "golden or reference"),
    "weights.learning_rate": POSITIVE,
    "weights.warmup_steps": whole(0),
    "weights.final_factor": SHARE,
    "weights.weight_decay": NOT_NEGATIVE,
    "weights.clip_norm": (lambda value: value is None or POSITIVE[0](value), "a number above 0, or null"),
    "callbacks.metrics.every": whole(1),
    "callbacks.samples.every": whole(1),
    "callbacks.samples.per_task": whole(1),
    "callbacks.samples.per_evaluation": whole(1),
    "callbacks.evaluation.prompts": whole(0),
    "callbacks.evaluation.prompts_during": whole(0),
    "callbacks.evaluation.every": whole(0),
    "callbacks.skipped.most": (lambda value: value is None or whole(0)[0](value), "a whole number, or null"),
    "callbacks.checkpoints.every": whole(0),
    "callbacks.checkpoints.keep_last": whole(1),
    "callbacks.checkpoints.keep_best": whole(0),
    "callbacks.checkpoints.monitor": (lambda value: value in MONITORS, f"one of {', '.join(MONITORS)}"),
    "callbacks.alarm.signals": (
        lambda value: isinstance(value, list) and set(value) <= set(KINDS),
        f"a list of some of {', '.join(KINDS)}",
    ),
    "callbacks.alarm.sigmas": POSITIVE,
    "callbacks.alarm.samples": whole(0),
    "callbacks.alarm.stop": (lambda value: isinstance(value, bool), "true or false"),
    "callbacks.watchdog.after": (lambda value: value is None or POSITIVE[0](value), "seconds above 0, or null"),
    "callbacks.watchdog.act": (lambda value: isinstance(value, bool), "true or false"),
    "update.max_tokens": whole(1),
    "update.epochs": whole(1),
    "update.packing": (lambda value: isinstance(value, bool), "true or false"),
    "update.recompute_logprobs": (lambda value: isinstance(value, bool), "true, false or auto"),
    "update.critic_learning_rate": (lambda value: value is None or POSITIVE[0](value), "a number above 0, or null"),
}
TASK_RULES: Mapping[str, Rule] = {"batch_size": whole(1), "responses_per_prompt": whole(1), "weight": POSITIVE}
CLASSES = ("optimizer", "rollout", "data", "reward", "judges", "panel", "update", "callbacks", "logger")


def check_values(plan: Config) -> None:
    """Checks what can be checked without building anything dear.

    Raises:
        UserError: naming the key and what it must be.
    """
    check_rules(plan, RULES, "")
    for name, task in plan["tasks"].items():
        check_rules(task, TASK_RULES, f"tasks.{name}.")
    for missing in {"metrics", "evaluation"} - plan["callbacks"].keys():
        raise UserError(f"callbacks.{missing} is missing: a run's summary needs it")
    check_arguments("model", load_policy, plan["model"], inspect.signature(load_policy).bind)
    for group in CLASSES:
        check_classes(group, plan[group])
    for name, task in plan["tasks"].items():
        for key in ("optimizer", "rollout", "gold"):
            check_classes(f"tasks.{name}.{key}", task[key])
    hardware_of(plan["trainer"])
    _check_models(plan)
    named = ("model", "reference", "tasks", "reward", "judges", "callbacks")
    check_references(plan["pipeline"], [plan[key] for key in named])
    check_recipes(plan["pipeline"])
    _make_what_is_cheap(plan)


def check_rules(config: Config, rules: Mapping[str, Rule], where: str) -> None:
    """Checks the values of a configuration's keys; a key that is not there is fine.

    Raises:
        UserError: naming the key and what it must be.
    """
    for key, (holds, needed) in rules.items():
        node: Any = config
        *parents, last = key.split(".")
        for parent in parents:
            node = node.get(parent) or {}
        if last in node and not holds(node[last]):
            raise UserError(f"{where}{key} is {node[last]!r}: it must be {needed}")


def _check_models(plan: Config) -> None:
    torch_dtype(plan["model"]["dtype"])
    if plan["model"].get("lora") is not None:
        lora_settings(plan["model"]["lora"])
        for key in ("reference_device", "reference_quantization"):
            if plan.get(key) is not None:
                raise UserError(
                    f"{key}: with adapters (model.lora) the reference is the policy's own base; write {key}=null"
                )
    check_model_paths(named_models(plan))
    check_quantization("reference_quantization", plan.get("reference_quantization"))
    for group in ("reward", "judges"):
        for name, config in plan[group].items():
            check_quantization(f"{group}.{name}.quantization", config.get("quantization"))


def _make_what_is_cheap(plan: Config) -> None:
    try_to_make("", plan["update"])
    try_to_make("", {**plan["panel"], "judges": {}})
    for name, task in plan["tasks"].items():
        where = f"tasks.{name}"
        optimizer = try_to_make(f"{where}.optimizer", task["optimizer"])
        for part, config in without_references(f"{where}.rollout", task["rollout"]):
            try_to_make(part, config)
        if getattr(optimizer, "uses_values", False) and plan["update"].get("critic_learning_rate") is None:
            raise UserError(f"update.critic_learning_rate is null: {type(optimizer).__name__} needs a critic")
        least = optimizer.min_responses
        if task["responses_per_prompt"] < least:
            raise UserError(
                f"{where}.responses_per_prompt is {task['responses_per_prompt']}: "
                f"{type(optimizer).__name__} needs at least {least}"
            )
