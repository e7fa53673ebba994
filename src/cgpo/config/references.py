"""What a configuration refers to: results of the pipeline, models on disk or on the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from cgpo.bounds import Loads, marks_of
from cgpo.config.components import ARTIFACT, Component, Value, artifacts, within
from cgpo.errors import UserError, choose


def check_artifacts(recipes: Mapping[str, Component], value: Value) -> None:
    """Checks that each `artifact:NAME` in a value names a recipe, and that no recipe needs its own result.

    Raises:
        UserError: naming the reference and the recipes there are.
    """

    def follow(value: Value, way: tuple[str, ...]) -> None:
        for name in artifacts(value):
            if name not in recipes:
                hint = (
                    "" if recipes else "; this run's pipeline makes nothing, pipeline=suite makes the built-in suite's"
                )
                raise UserError(
                    f"{ARTIFACT}{name}: no recipe of that name under pipeline; {choose(name, recipes)}{hint}"
                )
            if name in way:
                raise UserError(f"pipeline: {' → '.join((*way, name))}: a recipe needs its own result")
            follow(recipes[name], (*way, name))

    follow(value, ())


def named_models(value: Value) -> Iterator[tuple[str, str]]:
    """Key of the configuration → the model that it names, of every argument in a value that is marked as a model."""
    for component in within(value):
        for name, parameter in component.signature.parameters.items():
            given = component.arguments.get(name)
            if isinstance(given, str) and any(isinstance(mark, Loads) for mark in marks_of(parameter.annotation)):
                yield f"{component.where}.{name}", given


def check_models(named: Iterator[tuple[str, str]]) -> None:
    """Checks that each key names a model that could be loaded; results of the pipeline are left alone.

    Raises:
        UserError: naming the key.
    """
    for key, path in named:
        if not path.startswith(ARTIFACT):
            try:
                require_model_path(path)
            except UserError as error:
                raise UserError(f"{key}: {error}") from error


def require_model_path(path: str) -> None:
    """Asserts that `path` is a model folder, or could be a hub id.

    Raises:
        UserError: it is neither.
    """
    folder = Path(path)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{path}: this folder holds no config.json, so it is no transformers model")
        try:
            json.loads((folder / "config.json").read_text())
        except json.JSONDecodeError as error:
            raise UserError(f"{path}/config.json is not valid JSON: {error}") from error
    elif path.startswith((".", "/", "~")) or path.count("/") > 1 or folder.is_file():
        raise UserError(f"{path}: there is no such model folder")
