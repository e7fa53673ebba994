"""Reads checkpoints: weights and moments, and the other state of each process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load  # pyright: ignore[reportUnknownVariableType]

from cgpo.distributed.process_group import Processes
from cgpo.errors import UserError
from cgpo.training.checkpoints.catalogue import WEIGHTS, Checkpoint


def trained_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns every trained weight, and what its optimizer keeps of it, by name and without copying."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            tensors[f"weight.{name}"] = parameter.detach()
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{key}.{name}"] = value
    return tensors


def load_tensors(found: Checkpoint, module: nn.Module, optimizer: torch.optim.Optimizer, alone: bool) -> None:
    """Replaces weights and moments by those of a checkpoint, all processes together.

    Args:
        found: the checkpoint, written by any number of processes.
        module: the module, whose trained weights have the same names.
        optimizer: the optimizer of these weights.
        alone: whether there is no other process.

    Raises:
        UserError: the checkpoint is of another model.
    """
    reader = FileSystemReader(found.folder / WEIGHTS)
    stored: dict[str, Any] = reader.read_metadata().state_dict_metadata
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    tensors: dict[str, Tensor] = {}
    for full, metadata in stored.items():
        key, _, name = full.partition(".")
        parameter = parameters.get(name)
        if parameter is None:
            raise UserError(f"{found.folder}: it has weights of {name}, which this run does not train")
        if key == "weight":
            if metadata.size != parameter.shape:
                shapes = f"{list(metadata.size)}, and this run trains {list(parameter.shape)}"
                raise UserError(f"{found.folder}: its weights of {name} are {shapes}")
            tensors[full] = parameter.detach()
        elif metadata.size == parameter.shape:
            tensors[full] = torch.zeros_like(parameter, dtype=metadata.properties.dtype)
        else:
            tensors[full] = torch.zeros(metadata.size, dtype=metadata.properties.dtype)
    if missing := sorted(name for name in parameters if f"weight.{name}" not in tensors):
        raise UserError(f"{found.folder}: it lacks the weights of {missing[0]}, which this run trains")
    load(tensors, storage_reader=reader, no_dist=alone)
    for full, tensor in tensors.items():
        key, _, name = full.partition(".")
        if key != "weight":
            optimizer.state[parameters[name]][key] = tensor


def load_states(found: Checkpoint, processes: Processes) -> list[dict[str, Any]]:
    """Returns the state of this process, or of all processes if their number has changed."""
    ranks = [processes.rank] if found.processes == processes.size else range(found.processes)
    return [torch.load(found.folder / f"process-{rank}.pt", weights_only=True) for rank in ranks]
