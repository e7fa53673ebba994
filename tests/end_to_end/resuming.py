"""A run that is cut off again and again, against one that is not."""

import csv
import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.killing import Kill, read, write
from tests.end_to_end.tiny import PIPELINE, RUN, environment_in
from tests.processes import Forked

ROOT = Path(__file__).parents[2]
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
CUT_OFF = (-signal.SIGKILL, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
"""What a command ends with that a plan ended, or whose worker a plan ended."""
TIMED = re.compile(r"time/|/seconds$")


@dataclass(frozen=True)
class Attempt:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def train(folder: Path, *overrides: str, kills: list[Kill] | None = None, seconds: float = 250) -> Attempt:
    """`python -m cgpo.train` at a tiny size; it and all that it started are killed where it takes too long.

    Args:
        folder: where it is typed; it holds the cache, and the plan of what is to be killed.
        overrides: further ones.
        kills: a new plan; by default what is left of the one that is there.
        seconds: too long.
    """
    if kills is not None:
        write(folder / "plan", kills)
    killer = f"+callbacks.killer={{_target_:tests.end_to_end.killing.Killer,plan:{folder / 'plan'}}}"
    environment = environment_in(folder, PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    process = Forked("cgpo.train", [*PIPELINE, *SETTINGS, killer, *overrides], folder, environment)
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill_group()
    return Attempt(process.wait(), out, err)


def until_done(folder: Path, *overrides: str, kills: list[Kill], most: int = 60) -> list[Attempt]:
    """Types the same command until the run has come to its end; every kill of the plan was carried out."""
    attempts: list[Attempt] = []
    for _ in range(most):
        new = kills if not attempts else None
        attempts.append(train(folder, "trainer.resume=auto", *overrides, kills=new))
        if attempts[-1].returncode == 0:
            assert read(folder / "plan") == []
            return attempts
        assert attempts[-1].returncode in CUT_OFF, attempts[-1].stderr
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


def summary(run: Path) -> Any:
    return json.loads((run / "summary.json").read_text())


def assert_same(one: Path, other: Path) -> None:
    """Weights, metrics, samples, alarms and results to the last bit."""
    assert weights(one) == weights(other)
    assert metrics(one) == metrics(other)
    assert samples(one) == samples(other)
    assert (one / "alarms.jsonl").read_text() == (other / "alarms.jsonl").read_text()
    assert summary(one)["tasks"] == summary(other)["tasks"]
    assert summary(one)["updates"] == summary(other)["updates"] == UPDATES
