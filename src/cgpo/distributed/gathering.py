"""A task's batch over several processes: each has some prompts, all see the whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cgpo.distributed.process_group import Processes
from cgpo.types import TrainingBatch


def gather_batch(
    training_batch: TrainingBatch, processes: Processes, count: int, offset: int
) -> tuple[TrainingBatch, Tensor]:
    """The task's whole batch, put together from what each process has of it.

    Every mean of an objective is over the task's whole batch (eq. 12), and so every process forms the same objective
    of the same numbers, whatever the number of processes.

    Args:
        training_batch: this process's part; `b` prompts, perhaps none.
        processes: that share the batch.
        count: prompts of the whole batch.
        offset: where their dealing began, see `Processes.places`.

    Returns:
        The whole batch in the order of its prompts; `[b]` the rows of it that are this process's, in their order.
    """
    if processes.alone:
        return training_batch, torch.arange(len(training_batch.reward))
    own: list[Tensor] = []
    training_batch.map(lambda tensor: own.append(tensor) or tensor)
    of_ranks = processes.rows(own)
    rows = [_rows(processes.places(count, offset, rank), len(found[0])) for rank, found in enumerate(of_ranks)]
    order = torch.tensor([row for of_rank in rows for row in of_rank], dtype=torch.int64).argsort()
    together = iter([torch.cat(parts)[order.to(parts[0].device)] for parts in zip(*of_ranks, strict=True)])
    return training_batch.map(lambda _: next(together)), torch.tensor(rows[processes.rank], dtype=torch.int64)


def _rows(places: Sequence[int], count: int) -> list[int]:
    """The rows of a process's prompts; a sampler may answer several for each that it is asked, all alike."""
    times = count // max(1, len(places))
    return [place * times + i for place in places for i in range(times)]
