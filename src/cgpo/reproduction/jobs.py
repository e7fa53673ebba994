"""The commands that a comparison consists of, each with a folder that shows whether it has been run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cgpo.config import ReproduceConfig
from cgpo.errors import UserError


@dataclass(frozen=True)
class Method:
    """A method that is compared.

    Attributes:
        name: the name of the folder of its runs.
        title: its name in tables and figures.
        overrides: its overrides of `cgpo train`.
        path: the path of a policy that needs no training, instead of runs.
        start: the method whose final policy with the same seed this one starts from.
        seeds: the seeds of its runs; empty for those of the whole comparison.
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
        seeds: the seeds of the runs, at least one.
        training: the overrides of every `cgpo train`.
        evaluation: the overrides of every `cgpo evaluate`; `None` for no evaluations.
        methods: the methods by name, in the order of tables.
    """

    seeds: tuple[int, ...]
    training: tuple[str, ...]
    evaluation: tuple[str, ...] | None
    methods: Mapping[str, Method] = field(default_factory=dict[str, Method])

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """Returns the seeds of a method's runs."""
        return method.seeds or self.seeds


def read_comparison(config: ReproduceConfig) -> Comparison:
    """Reads the comparison that a configuration describes."""
    own = config.overrides
    methods = {
        name: Method(
            name,
            entry.title or name,
            entry.overrides or (),
            entry.path,
            entry.start,
            tuple(dict.fromkeys(entry.seeds or ())),
        )
        for name, entry in config.methods.items()
        if entry is not None
    }
    evaluation = None if config.evaluation is None else (*config.evaluation, *own)
    return Comparison(tuple(dict.fromkeys(config.seeds)), (*config.training, *own), evaluation, methods)


EVALUATION = "evaluation"
"""The folder of the evaluations, beside the folders of the methods."""
RECORD = "job.json"
"""The suffix of the file that records a job's command, beside its folder."""


@dataclass(frozen=True)
class Job:
    """A command that makes a folder.

    Attributes:
        verb: a verb of `cgpo`, such as `train`.
        overrides: its arguments except the folder.
        folder: the folder of its run.
        result: the file that exists exactly if the command succeeded.
        after: the folders of the jobs that must end before it starts.
    """

    verb: str
    overrides: tuple[str, ...]
    folder: Path
    result: str
    after: tuple[Path, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The words after `cgpo` on the command line."""
        return [self.verb, *self.overrides, f"hydra.run.dir={self.folder}"]

    @property
    def done(self) -> bool:
        """Whether the command has succeeded."""
        return (self.folder / self.result).is_file()


def plan_jobs(comparison: Comparison, folder: Path) -> list[Job]:
    """Lists all jobs in an order in which each can follow those before it.

    Args:
        comparison: what is compared.
        folder: the folder of the runs, which are made as `<method>/seed_<n>`.
    """
    training = [
        _training(comparison, method, seed, folder)
        for method in comparison.methods.values()
        if method.path is None
        for seed in comparison.seeds_of(method)
    ]
    # Seed by seed, so that shared artifacts are made while others train; first the runs that others wait for.
    awaited = {needed for job in training for needed in job.after}
    training.sort(key=lambda job: (job.folder.name, job.folder not in awaited))
    if comparison.evaluation is None:
        return training
    return training + [_evaluation(comparison, comparison.evaluation, seed, folder) for seed in comparison.seeds]


def run_folder(folder: Path, method: Method, seed: int) -> Path:
    """Returns the folder of a method's run."""
    return folder / method.name / f"seed_{seed}"


def _training(comparison: Comparison, method: Method, seed: int, folder: Path) -> Job:
    own = list(method.overrides)
    after: tuple[Path, ...] = ()
    if method.start is not None:
        after = (run_folder(folder, comparison.methods[method.start], seed),)
        own.append(f"model.path='{after[0] / 'policy'}'")
    return Job(
        "train",
        (*comparison.training, *own, f"seed={seed}"),
        run_folder(folder, method, seed),
        "summary.json",
        after,
    )


def _evaluation(comparison: Comparison, overrides: Sequence[str], seed: int, folder: Path) -> Job:
    """Makes the job that evaluates all methods with a run of this seed on the same prompts."""
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
        "evaluate",
        (*overrides, f"policies={{{given}}}", f"seed={seed}"),
        folder / EVALUATION / f"seed_{seed}",
        "evaluation.json",
        tuple(after),
    )


def prepare(job: Job) -> None:
    """Makes an empty folder for a job, renaming what an interrupted one left, and records the command."""
    if job.folder.exists() and any(job.folder.iterdir()):
        for number in range(1, 1000):
            aside = job.folder.with_name(f"{job.folder.name}.interrupted-{number}")
            if not aside.exists():
                job.folder.rename(aside)
                break
    job.folder.mkdir(parents=True, exist_ok=True)
    _record(job).write_text(json.dumps({"verb": job.verb, "overrides": job.overrides}, indent=2))


def check_unchanged(jobs: Sequence[Job]) -> None:
    """Checks that finished jobs were run with the same commands.

    Raises:
        UserError: one was not; the message names the folder and what differs.
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
