"""Weights that one process read, in the pieces of all: the others begin with a model that is only described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict


def is_described(model: nn.Module) -> bool:
    """Whether it is known how a model looks, and not which weights it has."""
    return any(parameter.is_meta for parameter in model.parameters())


def weights_of(model: nn.Module) -> dict[str, Any]:
    """A model's weights by name, to `fill` its pieces from; none where it is only described."""
    return {} if is_described(model) else model.state_dict()


def reserve(model: nn.Module) -> None:
    """Gives the weights of a described model addresses, in place; other models are left alone.

    The memory behind them is taken only where something is written, and so only as much as the pieces are.
    """
    if not is_described(model):
        return
    named = dict(model.named_parameters(remove_duplicate=False))
    first = {id(parameter): name for name, parameter in reversed(named.items())}
    model.to_empty(device="cpu")
    for name, parameter in named.items():  # weights that two layers share are two by now
        if (original := first[id(parameter)]) != name:
            owner, _, own_name = name.rpartition(".")
            setattr(model.get_submodule(owner), own_name, model.get_parameter(original))


def fill(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Gives all pieces of a model the weights that the first process has read; all processes together.

    Args:
        model: in pieces.
        weights: whole, see `weights_of`; of the first process they count.
    """
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, dict(weights), options=options)
    for buffer in model.buffers():
        distributed.broadcast(buffer, src=0)
