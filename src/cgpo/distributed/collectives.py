"""What processes put together in an update: a task's whole batch, and the gradient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from cgpo.distributed.process_group import Processes
from cgpo.distributed.sharding import is_sharded
from cgpo.types import TrainingBatch


def gather_batch(
    training_batch: TrainingBatch, processes: Processes, count: int, offset: int
) -> tuple[TrainingBatch, Tensor]:
    """Puts a task's whole batch together from every process's part.

    Every mean of an objective is over the task's whole batch (eq. 12). With the whole batch each process computes the
    same objective from the same numbers, whatever the number of processes.

    Args:
        training_batch: this process's part, `b` prompts, perhaps none.
        processes: the processes that share the batch.
        count: the number of prompts of the whole batch.
        offset: where dealing started; see `Processes.places`.

    Returns:
        The whole batch in the order of its prompts, and `[b]`, the rows of it that are this process's, in their order.
    """
    if processes.alone:
        return training_batch, torch.arange(len(training_batch.reward))
    own: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        own.append(tensor)
        return tensor

    training_batch.map(collect)
    parts = processes.rows(own)
    rows = [_rows(processes.places(count, offset, rank), len(part[0])) for rank, part in enumerate(parts)]
    order = torch.tensor([row for of_rank in rows for row in of_rank], dtype=torch.int64).argsort()
    whole = iter([torch.cat(pieces)[order.to(pieces[0].device)] for pieces in zip(*parts, strict=True)])
    return training_batch.map(lambda _: next(whole)), torch.tensor(rows[processes.rank], dtype=torch.int64)


def _rows(places: Sequence[int], count: int) -> list[int]:
    """Lists the rows of a process's prompts; a sampler may return several, equally many, for each that it is asked."""
    repeats = count // max(1, len(places))
    return [place * repeats + i for place in places for i in range(repeats)]


def reduce_gradient(model: nn.Module, processes: Processes, clip_norm: float | None) -> float:
    """Adds up a model's gradient over the processes that share the batch, and clips its norm.

    A sharded model's gradient was added up during its backward passes. If no process has a gradient there is none
    afterwards, so that an optimizer leaves the weights alone.

    Args:
        model: the model, whose gradient is changed in place.
        processes: all of them call this.
        clip_norm: the largest norm; `None` does not clip.

    Returns:
        The norm before clipping.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if processes.size > 1 and not is_sharded(model):
        if not processes.any(any(p.grad is not None for p in parameters)):
            return 0.0
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        processes.sum([p.grad for p in parameters if p.grad is not None])
    groups = group_by_mesh(p for p in parameters if p.grad is not None)
    norms = [_full(get_total_norm([p.grad for p in group if p.grad is not None])) for group in groups]
    norm = norms[0] if len(norms) == 1 else get_total_norm(norms)
    if clip_norm is not None:
        for group in groups:
            clip_grads_with_norm_(group, clip_norm, norm)
    return norm.item()


def group_by_mesh(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Groups parameters by the processes that they are sharded over, for torch cannot compute across such groups."""
    groups: dict[Any, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        groups[getattr(parameter, "device_mesh", None)].append(parameter)
    return list(groups.values())


def _full(norm: Any) -> Tensor:
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
