"""The loggers of metrics: always a CSV file, and W&B if it is chosen."""

from __future__ import annotations

import csv
import io
import netrc
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from torch import Tensor

from cgpo.files import write_atomically
from cgpo.metrics import current_name
from cgpo.progress import say

METRICS = "metrics.csv"
KEPT = "metrics.kept.csv"
"""The file of earlier rows, while the logger makes its file anew."""
ROWS = ("samples.jsonl", "alarms.jsonl")


def log_sizes(folder: Path, loggers: Iterable[Logger]) -> dict[str, int]:
    """Returns the rows of `metrics.csv` and the bytes of the other logs, once they are on the disk."""
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
    """Removes from the logs what came after a checkpoint, since it will be written again.

    Args:
        folder: the run's folder.
        sizes: the sizes at the checkpoint; empty if the run begins anew.

    Returns:
        The rows of `metrics.csv` that stay, which are now in `metrics.kept.csv`; see `write_again`.
    """
    for name in ROWS:
        if (folder / name).is_file():
            os.truncate(folder / name, sizes.get(name, 0))
    if not (folder / KEPT).is_file() and (folder / METRICS).is_file():
        os.replace(folder / METRICS, folder / KEPT)
    return _rows(folder / KEPT)[: sizes.get(METRICS, 0)]


def write_again(folder: Path, rows: Iterable[Mapping[str, str]], logger: CSVLogger) -> None:
    """Gives the rows that stay to a new logger, and deletes the old file once they are written."""
    for row in rows:
        cells = {current_name(name): cell for name, cell in row.items() if cell and name != "step"}
        values: dict[str, Tensor | float] = {name: float(cell) for name, cell in cells.items()}
        logger.log_metrics(values, int(row["step"]))
    logger.save()
    (folder / KEPT).unlink(missing_ok=True)


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def csv_logger(folder: Path, rows: Sequence[Mapping[str, str]] = ()) -> CSVLogger:
    """Makes a logger that writes `metrics.csv` into the folder, after the rows of a resumed run."""
    logger = CSVLogger(save_dir=str(folder), name="", version="", flush_logs_every_n_steps=20)
    logger._experiment = _KeepsRows(  # pyright: ignore[reportPrivateUsage]
        log_dir=logger.log_dir
    )
    write_again(folder, rows, logger)
    return logger


class _KeepsRows(ExperimentWriter):
    """Lightning's writer, but if a column is new, the file is replaced atomically."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, fieldnames)
        writer.writeheader()
        with open(self.metrics_file_path, newline="") as file:
            writer.writerows(csv.DictReader(file))
        write_atomically(Path(self.metrics_file_path), lines.getvalue())


def wandb_logger(project: str, folder: str) -> WandbLogger:
    """Makes a logger of W&B: online if there is a key, offline otherwise, with one line on how to sync it later.

    A resumed run keeps its identity, so that W&B shows one run.

    Args:
        project: the project at W&B.
        folder: the run's folder, where W&B writes into `wandb/`.
    """
    mode = os.environ.get("WANDB_MODE")
    # Lightning sets dryrun for the jobs of a sweep after an offline one.
    offline = mode in ("offline", "dryrun") if mode else not has_key()
    os.environ.setdefault("WANDB_SILENT", "true")
    if offline:
        reason = "as WANDB_MODE says" if mode == "offline" or has_key() else "for want of a key"
        say(f"W&B: the run stays offline, {reason}; later: wandb sync {folder}/wandb/offline-run-*")
    logger = WandbLogger(
        project=project,
        save_dir=folder,
        name=Path(folder).name,
        offline=offline,
        id=_identity(Path(folder)),
        resume="allow",
    )
    # W&B no longer knows this argument, and warns about it.
    logger._wandb_init.pop("anonymous", None)  # pyright: ignore[reportPrivateUsage]
    return logger


def _identity(folder: Path) -> str:
    """Returns W&B's id of the run, which is chosen once and kept in the run's folder."""
    file = folder / ".wandb-id"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, secrets.token_hex(4))
    return file.read_text()


def close(loggers: Iterable[Logger]) -> None:
    """Ends W&B's run, so that the next job of a sweep gets its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            wandb.finish()


def has_key() -> bool:
    """Returns whether there is a key for W&B, in the environment or in `.netrc`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
