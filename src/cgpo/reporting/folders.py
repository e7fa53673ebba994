"""Which runs a report is of, and what they are called in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cgpo.errors import UserError
from cgpo.runs import Run, load_run


def named_runs(folders: Sequence[str | Path]) -> dict[str, Run]:
    """The runs of some folders by name; the folder of a sweep stands for its runs.

    A name is as much of the end of a folder's path as tells it from the others.

    Raises:
        UserError: a folder holds no run, or a run is named twice.
    """
    found = [run.resolve() for folder in folders for run in _runs_of(Path(folder))]
    for folder in found:
        if found.count(folder) > 1:
            raise UserError(f"{folder}: this run is named twice; name each run once")
    return {name: load_run(folder) for name, folder in zip(short_names(found), found, strict=True)}


def short_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell all of them apart, equally many parts each."""
    most = max((len(folder.parts) for folder in folders), default=1)
    for parts in range(1, most):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _runs_of(folder: Path) -> Iterable[Path]:
    if (folder / "config.yaml").is_file() or not folder.is_dir():
        return [load_run(folder).folder]
    runs = [file.parent for file in folder.glob("*/config.yaml")]
    if not runs:
        raise UserError(f"{folder}: no run's folder and no sweep's, there is no config.yaml in it nor one level below")
    return sorted(runs, key=lambda run: (len(run.name), run.name))
