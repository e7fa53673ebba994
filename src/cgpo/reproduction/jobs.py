"""The commands that a comparison takes, each with a folder that shows whether it was run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


EVALUATION = "evaluation"
"""The folder of the evaluations, beside those of the methods."""
RECORD = "job.json"


@dataclass(frozen=True)
class Job:
    """A command that leaves a folder.

    Attributes:
        module: of the command, such as `cgpo.train`.
        overrides: its arguments, but for the folder.
        folder: where its run lies.
        result: the file that is there exactly when it ended well.
        after: folders of the jobs that must have ended before.
    """

    module: str
    overrides: tuple[str, ...]
    folder: Path
    result: str
    after: tuple[Path, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """What follows `python -m`."""
        return [self.module, *self.overrides, f"hydra.run.dir={self.folder}"]

    @property
    def done(self) -> bool:
        """Whether its result is there."""
        return (self.folder / self.result).is_file()


def jobs_of(comparison: Comparison, folder: Path) -> list[Job]:
    """All jobs, in an order in which each may follow those before it.

    Args:
        comparison: what is compared.
        folder: under which the runs lie, `<method>/seed_<n>`.
    """
    training = [
        _training(comparison, method, seed, folder)
        for method in comparison.methods.values()
        if method.path is None
        for seed in comparison.seeds_of(method)
    ]
    # Seed by seed, so that what the methods share is made while others train, and those that others wait for first.
    awaited = {needed for job in training for needed in job.after}
    training.sort(key=lambda job: (job.folder.name, job.folder not in awaited))
    if comparison.evaluation is None:
        return training
    return training + [_evaluation(comparison, comparison.evaluation, seed, folder) for seed in comparison.seeds]


def run_folder(folder: Path, method: Method, seed: int) -> Path:
    """Of a method's run."""
    return folder / method.name / f"seed_{seed}"


def _training(comparison: Comparison, method: Method, seed: int, folder: Path) -> Job:
    own = list(method.overrides)
    after: tuple[Path, ...] = ()
    if method.start is not None:
        after = (run_folder(folder, comparison.methods[method.start], seed),)
        own.append(f"model.path='{after[0] / 'policy'}'")
    return Job(
        "cgpo.train",
        (*comparison.training, *own, f"seed={seed}"),
        run_folder(folder, method, seed),
        "summary.json",
        after,
    )


def _evaluation(comparison: Comparison, overrides: Sequence[str], seed: int, folder: Path) -> Job:
    """All methods that have a run of this seed, side by side on the same prompts."""
    policies: dict[str, str] = {}
    after: list[Path] = []
    for method in comparison.methods.values():
        if method.path is not None:
            policies[method.name] = method.path
        elif seed in comparison.seeds_of(method):
            run = run_folder(folder, method, seed)
            policies[method.name] = str(run / "policy")
            after.append(run)
    given = ",".join(f"{name}:'{path}'" for name, path in policies.items())
    return Job(
        "cgpo.cli.evaluate",
        (*overrides, f"policies={{{given}}}", f"seed={seed}"),
        folder / EVALUATION / f"seed_{seed}",
        "evaluation.json",
        tuple(after),
    )


def prepare(job: Job) -> None:
    """Makes room for a job: what an interrupted one left is put aside, not lost.

    Raises:
        UserError: the folder holds the run of another command.
    """
    if job.folder.exists() and any(job.folder.iterdir()):
        for number in range(1, 1000):
            aside = job.folder.with_name(f"{job.folder.name}.interrupted-{number}")
            if not aside.exists():
                job.folder.rename(aside)
                break
    job.folder.mkdir(parents=True, exist_ok=True)
    _record(job).write_text(json.dumps({"module": job.module, "overrides": job.overrides}, indent=2))


def check_unchanged(jobs: Sequence[Job]) -> None:
    """Asserts that what is there already was made by the same commands.

    Raises:
        UserError: naming the folder and what differs.
    """
    for job in jobs:
        if not job.done:
            continue
        recorded: Mapping[str, Sequence[str]] = json.loads(_record(job).read_text()) if _record(job).is_file() else {}
        before, now = set(recorded.get("overrides", ())), set(job.overrides)
        if before != now:
            differing = " ".join(sorted(before ^ now)) or "no record of its command"
            raise UserError(
                f"{job.folder} was made by another command ({differing}); move it away, or choose another folder=…"
            )


def _record(job: Job) -> Path:
    return job.folder.with_name(f"{job.folder.name}.{RECORD}")
