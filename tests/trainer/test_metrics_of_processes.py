"""Metrics add up over processes: each has samples of its own, and of some things none."""

import json
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

from cgpo.trainer.callbacks import TaskMetrics
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


def test_rates_are_of_the_samples_of_all_processes(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    try:
        answers = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], answers
    rows = [json.loads(out) for out, _ in answers]
    assert rows[0] == rows[1]
    (found,) = rows[0]
    assert found["judges/chat/a/violation_rate"] == pytest.approx(2 / 3)
    assert found["judges/chat/a/not_applicable_rate"] == 0.25
    assert found["judges/chat/b/violation_rate"] == 0.5
    assert found["judges/chat/a/cache_hit_rate"] == 0.25
    assert found["judges/chat/a/seconds"] == 2.0, "of one process, on average"
    assert found["judges/chat/agreement/a_b"] == pytest.approx(2 / 3)
