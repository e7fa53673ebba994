"""Metrics add up over processes: each has samples of its own, and of some things none."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROCESS = """
import json
import sys
from types import SimpleNamespace

import torch
from torch import distributed

from cgpo.training.callbacks import TaskMetrics
from cgpo.types import Outcome, Verdict, Verdicts

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
outcomes = [["violated", "violated", "satisfied"], ["not_applicable"]][rank]
other = [["violated", "satisfied", "satisfied"], ["violated"]][rank]
verdicts = Verdicts(
    {name: tuple(Verdict(Outcome(o), "") for o in given) for name, given in (("a", outcomes), ("b", other))},
    torch.zeros(len(outcomes)).bool(),
    torch.ones(len(outcomes)).bool(),
    {"a": [1.0, 3.0][rank], "b": 0.0},
    {"a": rank, "b": 0},
)
rows = []
logger = SimpleNamespace(log_metrics=lambda row, step: rows.append(row))
module, trainer = SimpleNamespace(global_step=1), SimpleNamespace(loggers=[logger])
metrics = TaskMetrics()
metrics.on_verdicts(module, SimpleNamespace(name="chat"), None, verdicts)
metrics.on_train_batch_end(trainer, module, None, None, 0)
print(json.dumps(rows))
distributed.destroy_process_group()
"""


def run(source: str, folder: Path) -> list[tuple[int, str]]:
    """Runs a script as two processes; the exit status of each, with what it wrote on stdout, or stderr if it failed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(rank), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for rank in (0, 1)
    ]
    try:
        answers = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return [
        (process.returncode, err if process.returncode else out)
        for process, (out, err) in zip(processes, answers, strict=True)
    ]


def test_rates_are_of_the_samples_of_all_processes(tmp_path: Path) -> None:
    answers = run(PROCESS, tmp_path)
    assert [code for code, _ in answers] == [0, 0], answers
    rows = [json.loads(out) for _, out in answers]
    assert rows[0] == rows[1]
    (found,) = rows[0]
    assert found["judges/chat/a/violation_rate"] == pytest.approx(2 / 3)
    assert found["judges/chat/a/not_applicable_rate"] == 0.25
    assert found["judges/chat/b/violation_rate"] == 0.5
    assert found["judges/chat/a/cache_hit_rate"] == 0.25
    assert found["judges/chat/a/seconds"] == 2.0, "of one process, on average"
    assert found["judges/chat/agreement/a_b"] == pytest.approx(2 / 3)


DIFFERENT = """
import sys

from torch import distributed, tensor

from cgpo.training.metric_accumulator import Tallies

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
tallies = Tallies()
tallies.mean("both", tensor([1.0, 2.0]))
tallies.sum(["seconds of the first", "seconds of the second"][rank], 1.0)
tallies.over_processes()
"""


def test_processes_that_count_different_things_are_told_which(tmp_path: Path) -> None:
    for code, answer in run(DIFFERENT, tmp_path):
        assert code == 1
        assert (
            "AssertionError: processes count different metrics; those that not all have, by rank: "
            "{0: ['seconds of the first'], 1: ['seconds of the second']}"
        ) in answer
