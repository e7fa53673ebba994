"""The logs of a run: how far they had come at a checkpoint, and cut back to there where the run goes on from it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger
from torch import Tensor

METRICS = "metrics.csv"
KEPT = "metrics.kept.csv"
"""The rows of before, while the logger makes its file anew."""
ROWS = ("samples.jsonl", "alarms.jsonl")


def log_sizes(folder: Path, loggers: Iterable[Logger]) -> dict[str, int]:
    """Rows of `metrics.csv`, and bytes of the other logs, once they are on the disk."""
    for logger in loggers:
        if isinstance(logger, CSVLogger):
            logger.save()
    for name in (*ROWS, METRICS):
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
    sizes = {name: (folder / name).stat().st_size for name in ROWS if (folder / name).is_file()}
    return {**sizes, METRICS: len(_rows(folder / METRICS))}


def cut_back(folder: Path, sizes: Mapping[str, int]) -> list[dict[str, str]]:
    """Takes from the logs what came after a checkpoint: it will be written again.

    Args:
        folder: of the run.
        sizes: at the checkpoint; empty where the run begins anew.

    Returns:
        The rows of `metrics.csv` that stay, which now lie in `metrics.kept.csv`; see `write_again`.
    """
    for name in ROWS:
        if (folder / name).is_file():
            os.truncate(folder / name, sizes.get(name, 0))
    if not (folder / KEPT).is_file() and (folder / METRICS).is_file():
        os.replace(folder / METRICS, folder / KEPT)
    return _rows(folder / KEPT)[: sizes.get(METRICS, 0)]


def write_again(folder: Path, rows: Iterable[Mapping[str, str]], logger: CSVLogger) -> None:
    """Hands the rows that stay to a new logger, and lets go of the old file once they are written."""
    for row in rows:
        values: dict[str, Tensor | float] = {name: float(cell) for name, cell in row.items() if cell and name != "step"}
        logger.log_metrics(values, int(row["step"]))
    logger.save()
    (folder / KEPT).unlink(missing_ok=True)


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))
