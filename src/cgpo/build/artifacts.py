"""What the pipeline builds: the folder of its results, and configurations in which their names are folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from cgpo.build.objects import make
from cgpo.config import Component, Section, Value, artifacts
from cgpo.errors import UserError
from cgpo.stages.artifacts import ArtifactStore

Announce = Callable[[str], None]
S = TypeVar("S", bound=Section)


def artifact_store(cache_dir: str, pipeline: Mapping[str, Component], announce: Announce) -> ArtifactStore:
    """The folder of what the pipeline builds.

    Args:
        cache_dir: the folder.
        pipeline: the recipes, by name.
        announce: told in one line what is built and what is reused.

    Raises:
        UserError: nothing can be written there.
    """
    if not cache_dir:
        raise UserError("cache_dir is empty: name a folder, or unset CGPO_CACHE_DIR")
    folder = Path(cache_dir).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cache_dir: {folder} cannot be made: {error.strerror}") from error
    return ArtifactStore(folder, pipeline, make, announce)


def resolved(config: S, store: ArtifactStore, *keys: str) -> S:
    """A configuration in which what some keys name by `artifact:NAME` are folders, built where they are missing.

    Args:
        config: of a command.
        store: of the pipeline's results.
        *keys: those whose values are looked through, in this order.
    """
    with store.reuse_told_at_once():
        return config.model_copy(update={key: _resolved(getattr(config, key), store) for key in keys})


def _resolved(value: object, store: ArtifactStore) -> object:
    if isinstance(value, Section):
        return resolved(value, store, *type(value).model_fields)
    if isinstance(value, Mapping):
        return {key: _resolved(item, store) for key, item in cast(Mapping[str, object], value).items()}
    known = cast(Value, value)
    return store.resolve(known) if artifacts(known) else value
