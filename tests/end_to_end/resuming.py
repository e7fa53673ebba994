"""A run that is cut off again and again, against one that is not."""

import csv
import json
import re
import signal
from pathlib import Path
from typing import Any

from tests.end_to_end.tiny import PIPELINE, RUN, cgpo

UPDATES = 8
SETTINGS = [
    *RUN,
    f"updates={UPDATES}",
    "logger=none",
    "tasks=[general_chat,math_code,engagement]",
    "judges=[math,code,false_refusal,factuality]",
    "callbacks.checkpoints.every=2",
    "callbacks.evaluation.every=3",
    "callbacks.evaluation.prompts_during=6",
    "callbacks.samples.every=1",
    "callbacks.metrics.every=3",
]
KILLED = 128 + signal.SIGKILL
TIMED = re.compile(r"time/|/seconds$")


def train(folder: Path, run: str, *overrides: str) -> Any:
    return cgpo("train", *PIPELINE, *SETTINGS, f"hydra.run.dir={run}", *overrides, folder=folder)


def until_done(folder: Path, run: str, *overrides: str, most: int = 60) -> list[Any]:
    """Types the same command until the run has come to its end; what each attempt came to."""
    attempts = []
    for _ in range(most):
        attempts.append(train(folder, run, "trainer.resume=auto", *overrides))
        if attempts[-1].returncode == 0:
            return attempts
        assert attempts[-1].returncode in (-signal.SIGKILL, KILLED, 128 + signal.SIGTERM), attempts[-1].stderr
    raise AssertionError(attempts[-1].stderr)


def weights(run: Path) -> bytes:
    return (run / "policy" / "model.safetensors").read_bytes()


def metrics(run: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv` without what a clock says."""
    with (run / "metrics.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [{name: cell for name, cell in row.items() if cell and not TIMED.search(name)} for row in rows]


def samples(run: Path) -> list[Any]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


def assert_same(one: Path, other: Path) -> None:
    """Weights, metrics, samples, alarms and results to the last bit."""
    assert weights(one) == weights(other)
    assert metrics(one) == metrics(other)
    assert samples(one) == samples(other)
    assert (one / "alarms.jsonl").read_text() == (other / "alarms.jsonl").read_text()
    results = [json.loads((run / "summary.json").read_text()) for run in (one, other)]
    assert results[0]["tasks"] == results[1]["tasks"]
    assert results[0]["updates"] == results[1]["updates"] == UPDATES
