"""One of two processes that count metrics: `python -m tests.training.metrics_of_processes FOLDER rates|differing`."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from cgpo.distributed.rendezvous import find_rendezvous, joined_processes
from cgpo.training.callbacks import TaskMetrics
from cgpo.training.metric_accumulator import MetricAccumulator
from cgpo.types import Outcome, Verdict, Verdicts

A = [["violated", "violated", "satisfied"], ["not_applicable"]]
B = [["violated", "satisfied", "satisfied"], ["violated"]]


def rates(rank: int) -> list[Any]:
    """The rows that are logged of one task's verdicts, of which the processes have three and one."""
    verdicts = Verdicts(
        {name: tuple(Verdict(Outcome(o), "") for o in given[rank]) for name, given in (("a", A), ("b", B))},
        torch.zeros(len(A[rank])).bool(),
        torch.ones(len(A[rank])).bool(),
        {"a": [1.0, 3.0][rank], "b": 0.0},
        {"a": rank, "b": 0},
    )
    rows: list[Any] = []
    logger = SimpleNamespace(log_metrics=lambda row, step: rows.append(row))
    module: Any = SimpleNamespace(global_step=1)
    trainer: Any = SimpleNamespace(loggers=[logger])
    chat: Any = SimpleNamespace(name="chat")
    metrics = TaskMetrics()
    metrics.on_verdicts(module, chat, None, verdicts)  # pyright: ignore[reportArgumentType]
    metrics.on_train_batch_end(trainer, module, None, None, 0)  # pyright: ignore[reportArgumentType]
    return rows


def differing(rank: int) -> None:
    """Counts what the other process does not count."""
    accumulator = MetricAccumulator()
    accumulator.mean("both", torch.tensor([1.0, 2.0]))
    accumulator.sum(["seconds of the first", "seconds of the second"][rank], 1.0)
    accumulator.over_processes()


def main() -> None:
    taken = find_rendezvous()
    assert taken is not None
    folder, count = Path(sys.argv[1]), {"rates": rates, "differing": differing}[sys.argv[2]]
    with joined_processes(taken):
        found = count(taken.rank)
    (folder / f"rows-of-{taken.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
