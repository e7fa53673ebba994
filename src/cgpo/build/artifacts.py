"""What the pipeline builds: its recipes checked, and the folder of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from cgpo.build.components import check_classes, make, try_to_make
from cgpo.build.plan import Config
from cgpo.errors import choose
from cgpo.errors import UserError
from cgpo.stages.artifacts import PREFIX, ArtifactStore, references


Announce = Callable[[str], None]


def artifact_store(plan: Config, announce: Announce) -> ArtifactStore:
    """The folder of what the pipeline builds.

    Raises:
        UserError: nothing can be written there.
    """
    if not plan["cache_dir"]:
        raise UserError("cache_dir is empty: name a folder, or unset CGPO_CACHE_DIR")
    folder = Path(plan["cache_dir"]).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cache_dir: {folder} cannot be made: {error.strerror}") from error
    return ArtifactStore(folder, plan["pipeline"], make, announce)


def check_recipes(pipeline: Mapping[str, Any]) -> None:
    """Checks the recipes of the pipeline.

    Raises:
        UserError: naming the key and what is wrong with it.
    """
    check_classes("pipeline", pipeline)
    for name, recipe in pipeline.items():
        for where, part in without_references(f"pipeline.{name}", recipe):
            try_to_make(where, part)


def check_references(recipes: Mapping[str, Any], config: Any) -> None:
    """Checks that each reference of a configuration names a recipe, and that no recipe needs its own result.

    Raises:
        UserError: naming the reference and the recipes there are.
    """

    def follow(config: Any, way: tuple[str, ...]) -> None:
        for name in references(config):
            if name not in recipes:
                raise UserError(f"{PREFIX}{name}: no recipe of that name under pipeline; {choose(name, recipes)}")
            if name in way:
                raise UserError(f"pipeline: {' → '.join((*way, name))}: a recipe needs its own result")
            follow(recipes[name], (*way, name))

    follow(config, ())


def without_references(where: str, config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The largest parts of a recipe that can be made before any other recipe is."""
    if isinstance(config, Mapping) and "_target_" in config and not references(config):
        yield where, config
    elif isinstance(config, Mapping):
        for key, value in config.items():
            yield from without_references(f"{where}.{key}", value)
