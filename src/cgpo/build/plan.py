"""A run's plan: the configuration with every task made whole, every name checked, and only what is used kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from cgpo.build.devices import AUTO, placed, training_device
from cgpo.errors import choose
from cgpo.errors import UserError


Config = dict[str, Any]
MIXES = frozenset({"all", "rules", "llm", "none"})
"""Choices of the group `judges` that stand for several judges, or for none."""
MISSING = re.compile(r"Missing mandatory value: (?P<key>\S+)")
MODEL_FACTS = ("size", "paths", "architecture")
"""Keys of the group `model` that say what the model is, and are no arguments of loading it."""
HALF = ("bfloat16", "float16")
TASK_KEYS = frozenset(
    {"data", "reward", "judges", "gold", "batch_size", "responses_per_prompt", "weight", "kl_max"}
    | {"optimizer", "rollout"}
)


def plan_of(config: DictConfig, judge_choices: Iterable[str] = (), also_judge: Iterable[str] = ()) -> Config:
    """Plain containers of a composed configuration.

    Each task gets its optimizer (the run's, with the task's `kl_max` and its own overrides) and its sampler; lists of
    names replace single names; callbacks that name judges get those judges' configurations; judges that the run did not
    choose are dropped from the tasks; data, rewards and judges that no task names are dropped. What the group `model`
    says of the model's shape stands under `architecture`, what loads it under `model`. What is `auto` is decided.

    Args:
        config: as Hydra composed it.
        judge_choices: names of judges that exist but need not be chosen for this run.
        also_judge: names of judges that are asked about every task's responses without being constraints.

    Raises:
        UserError: a value is missing, a task is not whole, or it names something that is not there.
    """
    _check_size(config)
    plan = resolved(config)
    plan["architecture"] = plan["model"].get("architecture")
    plan["model"] = {key: value for key, value in plan["model"].items() if key not in MODEL_FACTS}
    if plan["trainer"].get("precision") == "bf16-true":
        plan["model"]["dtype"] = "bfloat16"
    plan["update"] = {**plan["update"], "recompute_logprobs": _recomputes(plan)}
    if not plan.get("tasks"):
        raise UserError("tasks: choose at least one task")
    plan["tasks"] = {name: _whole(name, task, plan) for name, task in plan["tasks"].items()}
    known = set(plan["judges"]) | set(judge_choices)
    for name, task in plan["tasks"].items():
        for key, choices in (("data", plan["data"]), ("judges", known), ("reward", plan["reward"])):
            check_names(f"tasks.{name}.{key}", task[key], choices)
        task["judges"] = [judge for judge in task["judges"] if judge in plan["judges"]]
        task["also_judge"] = [j for j in also_judge if j in plan["judges"] and j not in task["judges"]]
    check_panel_names(plan["panel"], known)
    plan["callbacks"] = {name: _with_judges(name, callback, plan) for name, callback in plan["callbacks"].items()}
    for group, keys in (("data", ("data",)), ("reward", ("reward",)), ("judges", ("judges", "also_judge"))):
        used = {named for task in plan["tasks"].values() for key in keys for named in task[key]}
        plan[group] = {name: value for name, value in plan[group].items() if name in used}
    plan["judges"] = {name: without_unread_model(judge) for name, judge in plan["judges"].items()}
    device = training_device(plan["trainer"])
    for group in ("reward", "judges", "callbacks"):
        plan[group] = placed(plan[group], device)
    return plan


def _recomputes(plan: Config) -> Any:
    """What the configuration says; `auto`: in half precision sampler and update differ by half a nat a response."""
    setting = plan["update"].get("recompute_logprobs", AUTO)
    if setting != AUTO:
        return setting
    return plan["model"].get("dtype") in HALF or plan["trainer"].get("precision") == "bf16-mixed"


def _check_size(config: DictConfig) -> None:
    """Refuses a size that a recipe has no models for, before every interpolation of it fails."""
    if "size" in config.model and config.model.size not in config.model.paths:
        raise UserError(f"model.size is {config.model.size!r}: {choose(str(config.model.size), config.model.paths)}")


def resolved(config: DictConfig) -> Config:
    """Plain containers of a composed configuration, interpolations resolved.

    Raises:
        UserError: a value is missing, or cannot be resolved.
    """
    try:
        plan: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        if missing := MISSING.search(str(error)):
            raise UserError(f"{missing['key']} is missing: write {missing['key']}=…") from error
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    return plan


def check_panel_names(panel: Config, known: Iterable[str]) -> None:
    """Checks the names of judges in the panel's settings that are given by judge.

    Raises:
        UserError: there is no judge of that name.
    """
    for key, setting in panel.items():
        if isinstance(setting, dict) and "_target_" not in setting:
            check_names(f"panel.{key}", setting, known)


def without_unread_model(judge: Config) -> Config:
    """A judge that asks an endpoint loads no model, so that none need be made for it."""
    return {**judge, "model": None} if judge.get("endpoint") and "model" in judge else judge


def _whole(name: str, task: Any, plan: Config) -> Config:
    where = f"tasks.{name}"
    if not isinstance(task, dict):
        raise UserError(f"{where} is {task!r}: a task is a mapping with the keys {', '.join(sorted(TASK_KEYS))}")
    check_names(where, list(task), TASK_KEYS, what="key")
    missing = {"data", "reward", "judges"} - task.keys()
    if missing:
        raise UserError(f"{where}: the key {min(missing)} is missing")
    whole = {"batch_size": 8, "responses_per_prompt": 4, "weight": 1.0, "kl_max": None, "gold": None, **task}
    for key in ("data", "judges"):
        whole[key] = [whole[key]] if isinstance(whole[key], str) else list(whole[key] or [])
    whole["reward"] = [whole["reward"]]
    whole["optimizer"] = _optimizer(where, whole, plan["optimizer"])
    whole["rollout"] = {**plan["rollout"], **(task.get("rollout") or {})}
    return whole


def _with_judges(name: str, callback: Any, plan: Config) -> Any:
    named = callback.get("judges") if isinstance(callback, dict) else None
    if not isinstance(named, str | list):
        return callback
    names = [named] if isinstance(named, str) else named
    check_names(f"callbacks.{name}.judges", names, plan["judges"])
    return {**callback, "judges": {judge: without_unread_model(plan["judges"][judge]) for judge in names}}


def _optimizer(where: str, task: Mapping[str, Any], shared: Config) -> Config:
    own: Config = dict(task.get("optimizer") or {})
    merged = own if "_target_" in own else {**shared, **own}
    limit = task["kl_max"]
    if limit is not None and not (isinstance(limit, int | float) and limit > 0):
        raise UserError(f"{where}.kl_max is {limit!r}: it must be a number above 0, in nats a response")
    if "kl_max" in merged and merged["kl_max"] is None:
        if limit is None:
            raise UserError(f"{where}.kl_max is missing: this optimizer needs a KL limit, in nats a response")
        merged["kl_max"] = limit
    return merged


def check_names(where: str, names: Iterable[str], choices: Iterable[str], what: str = "choice") -> None:
    """Checks names against those there are.

    Raises:
        UserError: naming the key and the choices.
    """
    known = sorted(choices)
    for name in names:
        if name not in known:
            raise UserError(f"{where}: there is no {what} {name!r}; {choose(str(name), known)}")


def judge_choices(config: DictConfig) -> list[str]:
    """The names of all judges that the group `judges` offers, those of the user's own folders included."""
    options = GlobalHydra.instance().config_loader().get_group_options("judges")
    return [*map(str, config.judges), *(option for option in options if option not in MIXES)]
