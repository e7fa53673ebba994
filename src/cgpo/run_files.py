"""The files of a run's folder, as a report, a comparison or a resumed run reads them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cgpo.errors import UserError
from cgpo.files import read_json_lines
from cgpo.metrics import current_name


@dataclass(frozen=True)
class Series:
    """One metric over the course of a run.

    Attributes:
        steps: how many updates had been done when each value was logged, increasing.
        values: one value for each of the steps.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """A run's folder.

    Every file is read once and kept: a run that is still under way is seen as it was at the first look.

    Attributes:
        folder: contains `config.yaml` and whatever the run has written so far.
    """

    folder: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration that the run used, as plain dictionaries and lists."""
        config: Any = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
        return config

    @cached_property
    def metrics(self) -> Mapping[str, Series]:
        """Every logged metric by its name (`cgpo.metrics` declares them); empty before anything is logged."""
        return read_metrics(self.folder / "metrics.csv")

    @cached_property
    def summary(self) -> Mapping[str, Any] | None:
        """The content of `summary.json`, or `None` if the run has not finished."""
        file = self.folder / "summary.json"
        return json.loads(file.read_text()) if file.is_file() else None

    @cached_property
    def overrides(self) -> tuple[str, ...]:
        """The overrides given on the command line, if Hydra recorded them."""
        file = self.folder / ".hydra" / "overrides.yaml"
        return tuple(map(str, OmegaConf.load(file))) if file.is_file() else ()

    @cached_property
    def command(self) -> str | None:
        """The command that made the folder, such as `train`, if Hydra recorded it."""
        file = self.folder / ".hydra" / "hydra.yaml"
        if not file.is_file():
            return None
        job = OmegaConf.load(file).hydra.job
        # Before there was one program, Hydra called every command the same.
        return job.config_name if job.name == "command" else job.name

    @property
    def tasks(self) -> list[str]:
        """The names of the run's tasks, in the order of its configuration."""
        return list(self.config["tasks"])

    @property
    def judges(self) -> dict[str, list[str]]:
        """The judges of each task: those that the task names and the run chose."""
        chosen: Mapping[str, Any] = self.config.get("judges") or {}
        judges: dict[str, list[str]] = {}
        for name, task in self.config["tasks"].items():
            named: Any = task.get("judges") or []
            judges[name] = [judge for judge in ([named] if isinstance(named, str) else named) if judge in chosen]
        return judges

    def samples(self) -> Iterator[dict[str, Any]]:
        """Reads `samples.jsonl` (`SampleLog` documents the keys) in the order in which the rows were written.

        Raises:
            UserError: a line is not JSON.
        """
        return map(_with_current_keys, read_json_lines(self.folder / "samples.jsonl"))

    def alarms(self) -> Iterator[dict[str, Any]] | None:
        """Reads `alarms.jsonl` (`HackingAlarm` documents the keys); `None` if the run had no alarm.

        Raises:
            UserError: a line is not JSON.
        """
        file = self.folder / "alarms.jsonl"
        return read_json_lines(file) if file.is_file() else None


def load_run(folder: str | Path) -> Run:
    """Opens the folder of a run.

    Raises:
        UserError: `cgpo train` did not make this folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; name the folder of a run, such as runs/2026-01-31/12-00-00"
        )
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: no run's folder, config.yaml is missing; cgpo train prints the folder of its run")
    return Run(folder)


def read_metrics(file: Path) -> dict[str, Series]:
    """Reads the columns of a `metrics.csv`, leaving out empty cells; returns nothing if there is no file.

    Metrics that had other names in version 0.1 are found under those that they have now.

    Raises:
        UserError: a cell is not a number.
    """
    if not file.is_file():
        return {}
    points: dict[str, dict[int, float]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            step = int(row.pop("step"))
            for name, cell in row.items():
                if cell:
                    points.setdefault(current_name(name), {})[step] = _number(cell, name, file)
    ordered = {name: sorted(column.items()) for name, column in sorted(points.items())}
    return {name: Series(tuple(s for s, _ in column), tuple(v for _, v in column)) for name, column in ordered.items()}


def _with_current_keys(sample: dict[str, Any]) -> dict[str, Any]:
    """A row of version 0.1 called the log-ratio to the reference `kl`."""
    return {"log_ratio" if key == "kl" else key: value for key, value in sample.items()}


def _number(cell: str, name: str, file: Path) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise UserError(f"{file}: {cell!r} under {name} is no number") from error
