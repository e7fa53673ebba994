"""The folder of a run: never overwritten."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from cgpo.distributed.rendezvous import broadcast, find_rendezvous, join, supervised
from cgpo.errors import UserError
from cgpo.runs.resume import AUTO, newest_unfinished, resume_of

OWN = ("config.yaml", "summary.json", "evaluation.json", "benchmark.json", "metrics.csv", "samples.jsonl", "policy")
"""The files that make a folder a run's."""
DEFAULT = re.compile(r"runs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d")


def _any_will_do(config: DictConfig) -> None:
    """Finds nothing wrong."""


class NeverOverwrite(Callback):
    """Stops before Hydra writes its first file if the folder holds a run, or the configuration is wrong.

    The default folder, named after the second in which the run starts, gets a number where another run has it.

    Attributes:
        check: is given what Hydra composed before there is a folder, and exits where it is wrong; the command sets it.
    """

    check: ClassVar[Callable[[DictConfig], None]] = staticmethod(_any_will_do)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Of a single run; processes that a launcher started take the folder that the first of them takes."""
        taken = find_rendezvous()
        if supervised():
            return
        type(self).check(config)
        if taken is None or taken.size == 1 or config.hydra.job.name != "train":
            with _said_by_exit():
                config.hydra.run.dir = _folder(config)
            return
        join(taken)
        with _said_by_exit():
            config.hydra.run.dir = broadcast(_folder(config) if taken.rank == 0 else "")

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Of a sweep, whose runs each say whether they go on."""
        name = config.hydra.sweep.dir
        if resume_of(config, config.hydra.job.name) is None or DEFAULT.fullmatch(name):
            with _said_by_exit():
                config.hydra.sweep.dir = str(make_run_folder(name))


@contextmanager
def _said_by_exit() -> Generator[None]:
    """Hydra swallows exceptions of its callbacks, so that only an exit gets through."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


def _folder(config: DictConfig) -> str:
    name, resume = config.hydra.run.dir, resume_of(config, config.hydra.job.name)
    if resume is None:
        return str(make_run_folder(name))
    if resume != AUTO:
        if not (Path(resume) / "config.yaml").is_file():
            raise UserError(f"trainer.resume: {resume} is no run's folder; name one, or write auto")
        return resume
    if DEFAULT.fullmatch(name):
        begun = newest_unfinished(Path(name).parents[1], list(config.hydra.overrides.task))
        return str(make_run_folder(name) if begun is None else begun)
    _make(Path(name))
    return name


def make_run_folder(name: str | Path | None = None) -> Path:
    """Makes the folder of a new run.

    Args:
        name: its path; `None` names it after the day and the second, with a number where another run has that name.

    Raises:
        UserError: it holds a run, or cannot be made.
    """
    folder = Path(time.strftime("runs/%Y-%m-%d/%H-%M-%S") if name is None else name)
    if DEFAULT.fullmatch(str(folder)):
        return _made_anew(folder)
    refuse_if_taken(folder)
    _make(folder)
    return folder


def _made_anew(folder: Path) -> Path:
    for number in count(1):
        free = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if _make(free):
            return free
    raise AssertionError


def _make(folder: Path) -> bool:
    """Whether the folder is new."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise UserError(f"{folder}, where the run would lie, is a file; choose another folder") from None
        return False
    except OSError as error:
        raise UserError(f"{folder}, where the run would lie, cannot be made: {error.strerror}") from None
    return True


def refuse_if_taken(folder: Path) -> None:
    """Asserts that a folder holds no run.

    Raises:
        UserError: it does.
    """
    # What Hydra leaves of a command that failed at start-up is no run.
    places = [folder, *(child for child in folder.glob("[!.]*") if child.is_dir())]
    if any((place / name).exists() for place in places for name in OWN):
        raise UserError(f"{folder} holds a run already, and runs are never overwritten; choose another folder")


def write_config(folder: Path, config: DictConfig) -> None:
    """The configuration as it was used, interpolations resolved; it claims the folder.

    Raises:
        UserError: another run claimed it since this one started.
    """
    write_record(folder, OmegaConf.to_yaml(config, resolve=True))


def write_record(folder: Path, yaml: str) -> None:
    """What a run was made of, as YAML; it claims the folder.

    Raises:
        UserError: another run claimed it since this one started.
    """
    try:
        with (folder / "config.yaml").open("x") as file:
            file.write(yaml)
    except FileExistsError as error:
        raise UserError(f"{folder} holds a run already, and runs are never overwritten") from error
