"""From a configuration's judges to the panel that binds them."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import cgpo.judges
import cgpo.sandbox
from cgpo.build.objects import make_with, target_of
from cgpo.config import Component, Value, plain, within
from cgpo.files import file_fingerprints
from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel


def build_panel(panel: Component, judges: Mapping[str, Judge], components: Mapping[str, Component]) -> Panel:
    """The panel of all judges of a run.

    Args:
        panel: its class and settings.
        judges: by name.
        components: what the judges were made from, references resolved.

    Raises:
        UserError: a setting does not fit a judge.
    """
    versions = {name: judge_version(components[name]) for name in judges}
    return make_with(panel, judges=dict(judges), versions=versions)


def judge_version(judge: Component) -> str:
    """A digest of all that decides a judge's verdicts: its settings, the files they name, and its source.

    A file is known by size and time of its last change, a folder by its files. What is not seen: a model on a hub that
    changes under its name, and other modules that a judge of the user's own imports; `Judge.version` is for those.
    """
    settings = plain(without_device(judge))
    sources = [_source(component.target) for component in within(judge)]
    text = json.dumps([settings, file_fingerprints(settings), sources], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def without_device(value: Value) -> Value:
    """A value without arguments called `device`: where a model lies does not decide what it says."""
    if isinstance(value, Component):
        kept = {name: without_device(item) for name, item in value.arguments.items() if name != "device"}
        return Component(value.target, kept, value.where, value.positional, value.partial, value.nested)
    if isinstance(value, Mapping):
        return {key: without_device(item) for key, item in value.items() if key != "device"}
    if isinstance(value, list | tuple):
        return [without_device(item) for item in value]
    return value


def _source(target: str) -> str:
    """Digest of the file that defines a judge; of all judges' files where it is one of ours."""
    defined = inspect.getmodule(target_of(target))
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
