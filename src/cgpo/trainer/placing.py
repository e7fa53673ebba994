"""The models of a run over its processes: which of them lie in pieces, and which are left as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from cgpo.policy.adapters import SharedBase
from cgpo.policy.filling import fill, reserve, weights_of
from cgpo.policy.sharding import is_sharded, shard, split_matrices
from cgpo.quantization import is_quantized


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
        if isinstance(model, SharedBase):  # the policy's own weights
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
