"""Models sharded over processes (FSDP2, tensor parallelism), and gathered again for as long as that is needed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from cgpo.errors import UserError
from cgpo.models.adapters import AdaptersDisabled, has_adapters

STYLES: dict[str, type[ParallelStyle]] = {"colwise": ColwiseParallel, "rowwise": RowwiseParallel}
"""The ways of splitting a matrix, by their names in `transformers`."""


def shard(model: nn.Module, mesh: DeviceMesh, mixed: bool = False) -> None:
    """Leaves each process a shard of every weight, in place; weights are gathered one layer at a time.

    Args:
        model: a `transformers` model, or a module around one.
        mesh: the mesh of the processes that share the weights.
        mixed: gathers and uses the weights in bfloat16; shards, gradients and their sums stay as they are.
    """
    settings: dict[str, Any] = {"mesh": mesh}
    if mixed:
        settings["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in layers(model):
        fully_shard(layer, **settings)
    fully_shard(model, **settings)


def split_matrices(model: nn.Module, mesh: DeviceMesh) -> None:
    """Splits a decoder's matrices over tensor-parallel peers, in place, as its `transformers` class plans it.

    Args:
        model: a `transformers` causal language model, or a module around its transformer.
        mesh: the mesh of the tensor-parallel peers.

    Raises:
        UserError: the model's class has no plan, or its attention heads cannot be divided evenly.
    """
    if has_adapters(model):
        raise UserError(
            "trainer.tensor_parallel: matrices with adapters (model.lora) are not cut; use tensor_parallel=1"
        )
    base: Any = getattr(model, "base_model", model)
    name = type(model).__name__
    plan: dict[str, str] = getattr(base.config, "base_model_tp_plan", None) or {}
    unknown = sorted(set(plan.values()) - STYLES.keys())
    if not plan or unknown:
        why = f"cuts matrices in ways unknown here ({', '.join(unknown)})" if unknown else "has no tensor-parallel plan"
        raise UserError(f"trainer.tensor_parallel: {name} {why}; use tensor_parallel=1")
    heads = base.config.num_key_value_heads
    if heads % mesh.size():
        raise UserError(f"trainer.tensor_parallel is {mesh.size()}: it must divide {name}'s {heads} key-value heads")
    parallelize_module(base, mesh, {pattern: STYLES[style]() for pattern, style in plan.items()})


def layers(model: nn.Module) -> list[nn.Module]:
    """Lists the layers of a model that are gathered one at a time: the classes that `transformers` never splits."""
    kinds = {kind for module in model.modules() for kind in getattr(module, "_no_split_modules", None) or ()}
    return [module for module in model.modules() if type(module).__name__ in kinds]


def models_of(holder: object) -> list[nn.Module]:
    """Lists the language models that a reward model or a panel runs in this process, if it names them as `models`."""
    return list(getattr(holder, "models", ()))


def is_sharded(model: nn.Module) -> bool:
    """Tells whether a model's weights are sharded, so that a forward pass needs all processes."""
    return isinstance(model, FSDPModule)


def full_state_dict(model: nn.Module) -> dict[str, Any]:
    """Returns every weight of a model by name, whole and on the CPU.

    All processes must call it for a sharded model; only the first one gets the weights, one at a time.
    """
    if not is_sharded(model):
        return {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


@contextmanager
def gathered_weights(*models: nn.Module) -> Generator[None]:
    """Gathers sharded models for the length of a block, in which passes without gradients need no other process.

    All processes must enter and leave together. Models that are not sharded, or are gathered already, are left alone.
    """
    roots = [model.model if isinstance(model, AdaptersDisabled) else model for model in models]
    found = {id(part): part for root in roots for part in root.modules() if isinstance(part, FSDPModule)}
    parts = [part for part in found.values() if not getattr(part, "_cgpo_gathered", False)]
    for part in parts:
        part.unshard()
        part._cgpo_gathered = True  # pyright: ignore[reportArgumentType]
        part.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for part in parts:
            part._cgpo_gathered = False  # pyright: ignore[reportArgumentType]
            # The weights of a root are needed again as soon as its backward pass begins.
            part.set_reshard_after_forward(part not in roots, recurse=False)
            part.reshard()
