"""What is compared: methods, the seeds of their runs, and the judges that an ablation leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cgpo.errors import UserError


@dataclass(frozen=True)
class Method:
    """A line of the comparison.

    Attributes:
        name: of its runs' folder.
        title: in tables and figures.
        overrides: what it gives to `cgpo.train`.
        path: of a policy that needs no training, in the place of a run.
        start: the method whose final policy, with the same seed, this one starts from.
        seeds: of its runs; empty for those of the whole comparison.
    """

    name: str
    title: str
    overrides: tuple[str, ...] = ()
    path: str | None = None
    start: str | None = None
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All methods, with what their runs have in common.

    Attributes:
        seeds: of the runs, at least one.
        training: overrides of every run of `cgpo.train`.
        evaluation: overrides of every run of `cgpo.evaluate`; `None` for no such runs.
        methods: by name, in the order of tables.
    """

    seeds: tuple[int, ...]
    training: tuple[str, ...]
    evaluation: tuple[str, ...] | None
    methods: Mapping[str, Method] = field(default_factory=dict[str, Method])

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """The seeds of a method's runs."""
        return method.seeds or self.seeds


KEYS = {"title", "overrides", "path", "from", "seeds"}


def comparison_of(config: Mapping[str, Any]) -> Comparison:
    """The comparison that a configuration describes.

    Args:
        config: with `seeds`, `training`, `evaluation`, `methods`, and `overrides`, which every run is given last.

    Raises:
        UserError: a method is not whole, or starts from one that is not there.
    """
    seeds = _seeds("seeds", config["seeds"])
    if not seeds:
        raise UserError("seeds: name at least one, such as seeds=[0]")
    own = tuple(config["overrides"] or ())
    methods = {name: _method(name, entry or {}) for name, entry in config["methods"].items() if entry is not None}
    if not methods:
        raise UserError("methods: there is nothing to compare")
    for method in methods.values():
        if method.start is not None:
            _check_start(method, methods, seeds)
    evaluation = config["evaluation"]
    return Comparison(seeds, (*config["training"], *own), None if evaluation is None else (*evaluation, *own), methods)


def _method(name: str, entry: Mapping[str, Any]) -> Method:
    where = f"methods.{name}"
    if unknown := sorted(set(entry) - KEYS):
        raise UserError(f"{where}.{unknown[0]}: there is no such key; choose {', '.join(sorted(KEYS))}")
    if entry.get("path") and (entry.get("overrides") or entry.get("from")):
        raise UserError(f"{where}: a path is evaluated as it is; leave overrides and from out, or the path")
    if not entry.get("path") and not entry.get("overrides"):
        raise UserError(f"{where}: write overrides, what it gives to cgpo.train, or path, a policy that is there")
    return Method(
        name,
        str(entry.get("title") or name),
        tuple(entry.get("overrides") or ()),
        entry.get("path"),
        entry.get("from"),
        _seeds(f"{where}.seeds", entry.get("seeds") or ()),
    )


def _check_start(method: Method, methods: Mapping[str, Method], seeds: Sequence[int]) -> None:
    where = f"methods.{method.name}.from"
    start = methods.get(str(method.start))
    if start is None or start.path is not None:
        raise UserError(f"{where} is {method.start!r}: it must be a method that is trained")
    if start.start is not None:
        raise UserError(f"{where}: {start.name} itself starts from {start.start}; only one such step is taken")
    if missing := set(method.seeds or seeds) - set(start.seeds or seeds):
        raise UserError(f"{where}: {start.name} has no run with seed {min(missing)}")


def _seeds(where: str, given: Any) -> tuple[int, ...]:
    seeds = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds):
        raise UserError(f"{where} is {given!r}: seeds are whole numbers of at least 0")
    return tuple(dict.fromkeys(seeds))
