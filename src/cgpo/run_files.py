"""What a run leaves in its folder: configuration, metrics, samples and summary are read here, and rows written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from omegaconf import OmegaConf

from cgpo.errors import UserError


@dataclass(frozen=True)
class Series:
    """A metric over a run.

    Attributes:
        steps: updates done when each value was logged, rising; a value at an evaluation counts the updates before it.
        values: as many.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """A run's folder. What is read from it is kept, so that a run still under way is seen as it was at first sight.

    Attributes:
        folder: with `config.yaml`, and what the run has written so far.
    """

    folder: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as it was used, in plain containers."""
        config: Any = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
        return config

    @cached_property
    def metrics(self) -> Mapping[str, Series]:
        """Every metric by name (`TaskMetrics` lists them); empty where nothing is logged yet."""
        return read_metrics(self.folder / "metrics.csv")

    @cached_property
    def summary(self) -> Mapping[str, Any] | None:
        """The content of `summary.json`; `None` where the run did not end."""
        file = self.folder / "summary.json"
        return json.loads(file.read_text()) if file.is_file() else None

    @cached_property
    def overrides(self) -> tuple[str, ...]:
        """What was typed at the command line, as far as Hydra kept it."""
        file = self.folder / ".hydra" / "overrides.yaml"
        return tuple(map(str, OmegaConf.load(file))) if file.is_file() else ()

    @cached_property
    def command(self) -> str | None:
        """The command that made the folder, such as `train`, as far as Hydra kept it."""
        file = self.folder / ".hydra" / "hydra.yaml"
        return OmegaConf.load(file).hydra.job.config_name if file.is_file() else None

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, in the run's order."""
        return list(self.config["tasks"])

    def samples(self) -> Iterator[dict[str, Any]]:
        """The rows of `samples.jsonl` (`SampleLog` lists their keys), in the order in which they were written.

        Raises:
            UserError: a line is no JSON; a last line that is not whole yet is left out.
        """
        return read_rows(self.folder / "samples.jsonl")

    def alarms(self) -> Iterator[dict[str, Any]] | None:
        """The rows of `alarms.jsonl` (`HackingAlarm` lists their keys); `None` where the run was not watched.

        Raises:
            UserError: a line is no JSON.
        """
        file = self.folder / "alarms.jsonl"
        return read_rows(file) if file.is_file() else None


def load_run(folder: str | Path) -> Run:
    """A run by its folder.

    Raises:
        UserError: the folder is not one that `cgpo.train` made.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; name the folder of a run, such as runs/2026-01-31/12-00-00"
        )
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: no run's folder, config.yaml is missing; cgpo.train prints the folder of its run")
    return Run(folder)


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file of JSON lines; nothing where there is no file.

    Raises:
        UserError: a line is no JSON.
    """
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(f"{file}: line {number} is no JSON: {error}") from error
            yield row


def append_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Adds rows to a file of JSON lines; the file is there afterwards."""
    with file.open("ab") as lines:
        lines.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def read_metrics(file: Path) -> dict[str, Series]:
    """The columns of a `metrics.csv`, each without its empty cells; nothing where there is no file.

    Raises:
        UserError: a cell is no number.
    """
    if not file.is_file():
        return {}
    points: dict[str, dict[int, float]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            step = int(row.pop("step"))
            for name, cell in row.items():
                if cell:
                    points.setdefault(name, {})[step] = _number(cell, name, file)
    ordered = {name: sorted(column.items()) for name, column in sorted(points.items())}
    return {name: Series(tuple(s for s, _ in column), tuple(v for _, v in column)) for name, column in ordered.items()}


def _number(cell: str, name: str, file: Path) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise UserError(f"{file}: {cell!r} under {name} is no number") from error
