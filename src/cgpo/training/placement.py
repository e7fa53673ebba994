"""Distributes the models of a run over its processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

from cgpo.distributed.sharding import is_sharded, shard, split_matrices
from cgpo.models.adapters import AdaptersDisabled
from cgpo.models.pretrained import is_on_meta_device
from cgpo.models.quantization import is_quantized


def loaded_weights(model: nn.Module) -> dict[str, Any]:
    """Returns a model's weights by name, to `fill_shards` from; none if they are on the meta device."""
    return {} if is_on_meta_device(model) else model.state_dict()


def allocate(model: nn.Module) -> None:
    """Allocates weights on the meta device on the CPU, in place; other models are left unchanged.

    The memory is used only where something is written, so only as much as the shards need.
    """
    if not is_on_meta_device(model):
        return
    named = dict(model.named_parameters(remove_duplicate=False))
    first = {id(parameter): name for name, parameter in reversed(named.items())}
    model.to_empty(device="cpu")
    for name, parameter in named.items():  # weights that two layers share have become two
        if (original := first[id(parameter)]) != name:
            owner, _, own_name = name.rpartition(".")
            setattr(model.get_submodule(owner), own_name, model.get_parameter(original))


def fill_shards(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Fills all shards of a model with the weights that the first process has read; all processes together.

    Args:
        model: the sharded model.
        weights: the full weights, see `loaded_weights`; only those of the first process are used.
    """
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, dict(weights), options=options)
    for buffer in model.buffers():
        distributed.broadcast(buffer, src=0)


def shard_all(own: Iterable[nn.Module], frozen: Iterable[nn.Module], meshes: tuple[Any, Any], mixed: bool) -> None:
    """Shards every model over the processes, in place.

    Args:
        own: the policy, its critic and the reference, whose matrices are split over tensor-parallel peers, too. The
            first process has read their weights; in the others they may be on the meta device.
        frozen: reward models; one on another kind of device than the policy, or a quantized one, is not sharded.
            Judges' models are not among them, for they work in threads, at any time.
        meshes: the meshes of the processes that share the batch, and of the tensor-parallel peers.
        mixed: whether the policy's own models compute in bfloat16.
    """
    data, peers = meshes
    for model in own:
        if isinstance(model, AdaptersDisabled):  # the policy's own weights
            continue
        weights = loaded_weights(model)
        allocate(model)
        if peers.size() > 1:
            split_matrices(model, peers)
        shard(model, data, mixed)
        fill_shards(model, weights)
    for model in frozen:
        beside = next(model.parameters()).device.type == data.device_type
        if beside and not is_sharded(model) and not is_quantized(model):
            shard(model, data)
