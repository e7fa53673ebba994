"""From a plan to its judges, bound in a panel."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from hydra.utils import get_object
import cgpo.judges
import cgpo.sandbox
from cgpo.build.components import make
from cgpo.build.devices import without_device
from cgpo.build.plan import Config
from cgpo.files import file_fingerprints
from cgpo.judges.base import Judge


def build_panel(settings: Config, judges: Mapping[str, Judge], configs: Mapping[str, Any]) -> Any:
    """The panel of all judges of a run.

    Args:
        settings: of the panel.
        judges: by name.
        configs: what the judges were made from, references resolved.

    Raises:
        UserError: a setting does not fit a judge.
    """
    versions = {name: judge_version(configs[name]) for name in judges}
    return make({**settings, "judges": dict(judges), "versions": versions})


def judge_version(config: Config) -> str:
    """A digest of all that decides a judge's verdicts: its settings, the files they name, and its source.

    A file is known by size and time of its last change, a folder by its files. What is not seen: a model on a hub that
    changes under its name, and other modules that a judge of the user's own imports; `Judge.version` is for those.
    """
    config = without_device(config)
    text = json.dumps(
        [config, file_fingerprints(config), [_source(target) for target in _targets(config)]], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _targets(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield config["_target_"]
        for _, value in sorted(config.items()):
            yield from _targets(value)


def _source(target: str) -> str:
    """Digest of the file that defines a judge; of all judges' files where it is one of ours."""
    defined = inspect.getmodule(get_object(target))
    name, file = getattr(defined, "__name__", ""), getattr(defined, "__file__", None)
    if name.startswith("cgpo.judges."):
        folders = [Path(next(iter(room.__path__))) for room in (cgpo.judges, cgpo.sandbox)]
        paths = [path for folder in folders for path in sorted(folder.rglob("*"))]
        return _digest(path for path in paths if path.suffix in (".py", ".txt"))
    return _digest([Path(file)] if file else [])


def _digest(paths: Iterable[Path]) -> str:
    content = hashlib.sha256()
    for path in paths:
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()
