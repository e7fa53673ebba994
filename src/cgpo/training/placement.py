"""The models of a run over its processes: which of them lie in pieces, and which are left as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

from cgpo.distributed.sharding import is_sharded, shard, split_matrices
from cgpo.models.adapters import AdaptersDisabled
from cgpo.models.pretrained import is_on_meta_device
from cgpo.models.quantization import is_quantized


def weights_of(model: nn.Module) -> dict[str, Any]:
    """A model's weights by name, to `fill` its pieces from; none where it is only described."""
    return {} if is_on_meta_device(model) else model.state_dict()


def reserve(model: nn.Module) -> None:
    """Gives the weights of a described model addresses, in place; other models are left alone.

    The memory behind them is taken only where something is written, and so only as much as the pieces are.
    """
    if not is_on_meta_device(model):
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


def shard_all(own: Iterable[nn.Module], frozen: Iterable[nn.Module], meshes: tuple[Any, Any], mixed: bool) -> None:
    """Leaves each process its piece of every model, in place.

    Args:
        own: the policy, its critic and the reference: their matrices are cut over tensor-parallel peers, too. The
            first process has read their weights; in the others they may be only described.
        frozen: reward models; one that was put on another kind of device than the policy, or quantised, stays whole.
            Judges' models are no part of this: they work in threads, at times of their own.
        meshes: of the processes that share the batch, and of the tensor-parallel peers.
        mixed: the policy's own models compute in bfloat16.
    """
    data, peers = meshes
    for model in own:
        if isinstance(model, AdaptersDisabled):  # the policy's own weights
            continue
        weights = weights_of(model)
        reserve(model)
        if peers.size() > 1:
            split_matrices(model, peers)
        shard(model, data, mixed)
        fill(model, weights)
    for model in frozen:
        beside = next(model.parameters()).device.type == data.device_type
        if beside and not is_sharded(model) and not is_quantized(model):
            shard(model, data)
