"""The gradient of an update: added up over processes, and cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from cgpo.distributed.process_group import Processes
from cgpo.distributed.sharding import is_sharded


def summed_gradient(model: nn.Module, processes: Processes, clip_norm: float | None) -> float:
    """Adds up a model's gradient over the processes that share the batch, and cuts it to its largest norm.

    A sharded model's was added up in its backward passes. Where no process has any, there is none afterwards, so that
    an optimizer leaves the weights alone.

    Args:
        model: its gradient is changed in place.
        processes: all of which call this.
        clip_norm: the largest norm; `None` leaves it.

    Returns:
        The norm before it was cut.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if processes.size > 1 and not is_sharded(model):
        if not processes.any(any(p.grad is not None for p in parameters)):
            return 0.0
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        processes.sum([p.grad for p in parameters if p.grad is not None])
    alike = by_mesh([p for p in parameters if p.grad is not None])
    norms = [_whole(get_total_norm([p.grad for p in of_mesh if p.grad is not None])) for of_mesh in alike]
    norm = norms[0] if len(norms) == 1 else get_total_norm(norms)
    if clip_norm is not None:
        for of_mesh in alike:
            clip_grads_with_norm_(of_mesh, clip_norm, norm)
    return norm.item()


def by_mesh(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters with those that are cut over the same processes: torch computes on no others together."""
    alike: dict[Any, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        alike[getattr(parameter, "device_mesh", None)].append(parameter)
    return list(alike.values())


def _whole(norm: Any) -> Tensor:
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
