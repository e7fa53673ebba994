"""The models that a configuration names: whether they could be loaded, without loading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from cgpo.errors import UserError
from cgpo.models.pretrained import require_model_path, require_on_hub
from cgpo.stages.artifacts import PREFIX


def named_models(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Key of the configuration → the model that it names: the policy, the reference, reward models, judge models."""
    named = {"model.path": plan["model"]["path"], "reference": plan["reference"]}
    for group, argument in (("reward", "path"), ("judges", "model")):
        for name, config in plan[group].items():
            # A class of the user's own may call something else `path`.
            if str(config.get("_target_", "")).startswith("cgpo."):
                named[f"{group}.{name}.{argument}"] = config.get(argument)
    return named


def check_model_paths(named: Mapping[str, Any]) -> None:
    """Checks that each key names a model that could be loaded; `None` and references are left alone.

    Raises:
        UserError: naming the key.
    """
    _check(named, require_model_path)


def check_hub(plan: Mapping[str, Any]) -> None:
    """Checks that the hub ids of a plan can be had, before anything dear is built.

    Raises:
        UserError: naming the key.
    """
    _check(named_models(plan), require_on_hub)


def _check(named: Mapping[str, Any], require: Callable[[str], None]) -> None:
    for key, path in named.items():
        if path is None or str(path).startswith(PREFIX):
            continue
        try:
            require(str(path))
        except UserError as error:
            raise UserError(f"{key}: {error}") from error
