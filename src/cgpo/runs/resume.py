"""Which run a command goes on with, and whether it may."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cgpo.bounds import is_mapping
from cgpo.config.renamed import RENAMED
from cgpo.errors import UserError
from cgpo.run_files import Run

AUTO = "auto"
MAY_DIFFER = frozenset({"trainer", "callbacks", "logger", "cache_dir", "run_folder"})
"""Parts of a configuration that do not decide what a run comes to."""
LOCK = ".lock"
PATIENCE_SECONDS = 20.0
"""What the processes of a run that was killed are given to be gone."""


def resume_of(config: DictConfig, command: str | None) -> str | None:
    """What the configuration says of going on with a run; `None` where it begins a new one, as other commands do."""
    if command != "train":
        return None
    setting = OmegaConf.select(config, "trainer.resume")
    return None if setting is None else str(setting)


def newest_unfinished(runs: Path, overrides: Sequence[str]) -> Path | None:
    """The newest run that the same command began and that has not ended.

    Args:
        runs: the folder of the days' folders.
        overrides: of the command; those of `trainer` do not count.
    """
    found = [run for file in runs.glob("*/*/config.yaml") if (run := Run(file.parent)).command in (None, "train")]
    begun = [run for run in found if not is_complete(run.folder) and _decisive(run.overrides) == _decisive(overrides)]
    return max((run.folder for run in begun), key=lambda folder: folder.stat().st_mtime, default=None)


def is_complete(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return (folder / "summary.json").is_file()


def check_same(folder: Path, config: DictConfig) -> None:
    """Asserts that a run was begun with this configuration, as far as it decides what the run comes to.

    Raises:
        UserError: naming the first key that differs.
    """
    then: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    now: Any = OmegaConf.to_container(config, resolve=True)
    if old := [key for key in RENAMED if key in then]:
        raise UserError(
            f"{folder}: an earlier version began this run, with keys that have other names by now ({', '.join(old)}): "
            "it cannot go on; leave out trainer.resume for a new run, which may start from its policy, model.path=…"
        )
    for key, (before, after) in _differences(then, now):
        if key.split(".")[0] not in MAY_DIFFER:
            raise UserError(
                f"{key} is {after!r}, but the run in {folder} was begun with {before!r}: "
                "a run goes on as it was begun; leave out trainer.resume for a new one"
            )


@contextmanager
def alone_in(folder: Path, patience: float = PATIENCE_SECONDS) -> Generator[None]:
    """No other process writes into a run's folder meanwhile.

    Args:
        folder: of the run.
        patience: seconds that the other is waited for.

    Raises:
        UserError: one does.
    """
    with (folder / LOCK).open("w") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{folder}: another process is at work on this run; wait for it or end it"
                    ) from None
                time.sleep(0.2)
        yield


def _decisive(overrides: Sequence[str]) -> list[str]:
    return sorted(override for override in overrides if not override.lstrip("+~").startswith("trainer"))


def _differences(then: object, now: object, where: str = "") -> Iterator[tuple[str, tuple[object, object]]]:
    if is_mapping(then) and is_mapping(now):
        for key in dict.fromkeys((*then, *now)):
            yield from _differences(then.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    elif then != now:
        yield where, (then, now)
