"""Logs of a run that goes on: as if it had not been cut off, and a kill on the way loses no row."""

import csv
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger
from tests.processes import run as run_script
from torch import Tensor

from cgpo.training.loggers import KEPT, csv_logger, cut_back, log_sizes, write_again

ROWS: list[tuple[int, dict[str, Tensor | float]]] = [
    (1, {"loss": 0.1}),
    (2, {"loss": 1 / 3}),
    (2, {"success": 0.5}),
    (3, {"loss": 1e-9}),
    (4, {"loss": 4.0}),
]


def log(logger: CSVLogger, rows: list[tuple[int, dict[str, Tensor | float]]]) -> None:
    for step, values in rows:
        logger.log_metrics(values, step)
        logger.save()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as lines:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(lines)]


@pytest.fixture
def whole(tmp_path: Path) -> list[dict[str, str]]:
    folder = tmp_path / "whole"
    log(csv_logger(folder), ROWS)
    return rows(folder)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Cut off after four rows, of which three were there at its checkpoint."""
    folder = tmp_path / "run"
    logger = csv_logger(folder)
    for step, values in ROWS[:3]:
        logger.log_metrics(values, step)
    assert log_sizes(folder, [logger]) == {"metrics.csv": 3}, "what the logger has not written yet is written"
    log(logger, [(3, {"loss": 77.0})])
    return folder


def test_rows_after_the_checkpoint_are_written_again(run: Path, whole: list[dict[str, str]]) -> None:
    kept = cut_back(run, {"metrics.csv": 3})
    log(csv_logger(run, kept), ROWS[3:])
    assert rows(run) == whole
    assert not (run / KEPT).exists()


def test_a_kill_between_cutting_back_and_writing_again(run: Path, whole: list[dict[str, str]]) -> None:
    cut_back(run, {"metrics.csv": 3})
    assert not (run / "metrics.csv").exists()
    kept = cut_back(run, {"metrics.csv": 3})
    assert [row["step"] for row in kept] == ["1", "2", "2"]
    log(csv_logger(run, kept), ROWS[3:])
    assert rows(run) == whole


def test_a_kill_while_the_rows_are_written_again(run: Path, whole: list[dict[str, str]]) -> None:
    cut_back(run, {"metrics.csv": 3})
    (run / "metrics.csv").write_text("loss,st")
    kept = cut_back(run, {"metrics.csv": 3})
    log(csv_logger(run, kept), ROWS[3:])
    assert rows(run) == whole


def test_a_kill_before_the_old_file_is_let_go(run: Path, whole: list[dict[str, str]]) -> None:
    kept = cut_back(run, {"metrics.csv": 3})
    old = (run / KEPT).read_bytes()
    write_again(run, kept, csv_logger(run))
    (run / KEPT).write_bytes(old)
    log(csv_logger(run, cut_back(run, {"metrics.csv": 3})), ROWS[3:])
    assert rows(run) == whole


def test_begun_anew_nothing_stays(run: Path, whole: list[dict[str, str]]) -> None:
    (run / "samples.jsonl").write_text("{}\n")
    log(csv_logger(run, cut_back(run, {})), ROWS)
    assert rows(run) == whole
    assert (run / "samples.jsonl").read_text() == ""


def test_the_other_logs_are_cut_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"a": 1}\n')
    sizes = log_sizes(tmp_path, [])
    assert sizes == {"samples.jsonl": 9, "metrics.csv": 0}
    (tmp_path / "samples.jsonl").write_text('{"a": 1}\n{"b": 2}\n{"c"')
    (tmp_path / "alarms.jsonl").write_text('{"d": 4}\n')
    cut_back(tmp_path, sizes)
    assert (tmp_path / "samples.jsonl").read_text() == '{"a": 1}\n'
    assert (tmp_path / "alarms.jsonl").read_text() == ""


KILLED = """
import os, sys
from pathlib import Path
from cgpo.training.loggers import csv_logger

logger = csv_logger(Path(sys.argv[1]))
logger.log_metrics({"loss": 1.0}, 1)
logger.save()
os.replace = lambda *_: os._exit(9)
logger.log_metrics({"success": 1.0}, 2)
logger.save()
"""


def test_a_kill_while_a_column_is_added(tmp_path: Path) -> None:
    assert run_script("-c", KILLED, str(tmp_path)).returncode == 9
    assert rows(tmp_path) == [{"step": "1", "loss": "1.0"}]
