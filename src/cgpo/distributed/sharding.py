"""Models in pieces over processes (FSDP2, tensor parallelism), and whole again for as long as that is needed."""

from __future__ import annotations

from collections.abc import Iterator
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
"""`transformers`' names of how a matrix is cut."""


def shard(model: nn.Module, mesh: DeviceMesh, mixed: bool = False) -> None:
    """Leaves each process a piece of every weight, in place; layer by layer, so that one at a time is gathered.

    Args:
        model: a `transformers` model, or a module around one.
        mesh: of the processes that share the pieces.
        mixed: weights are gathered and used in bfloat16; the pieces, gradients and their sums stay as they are.
    """
    settings: dict[str, Any] = {"mesh": mesh}
    if mixed:
        settings["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in layers(model):
        fully_shard(layer, **settings)
    fully_shard(model, **settings)


def split_matrices(model: nn.Module, mesh: DeviceMesh) -> None:
    """Cuts a decoder's matrices over tensor-parallel peers, in place, as its `transformers` class plans it.

    Raises:
        UserError: the model's class has no plan, or its attention heads cannot be dealt evenly.
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
    """The layers of a model that are gathered one at a time: the classes that `transformers` never splits."""
    kinds = {kind for module in model.modules() for kind in getattr(module, "_no_split_modules", None) or ()}
    return [module for module in model.modules() if type(module).__name__ in kinds]


def models_of(holder: object) -> list[nn.Module]:
    """The language models that a reward model or a panel runs in this process, where it says so by `models`."""
    return list(getattr(holder, "models", ()))


def is_sharded(model: nn.Module) -> bool:
    """Whether a model's weights lie in pieces, so that a pass needs all processes."""
    return isinstance(model, FSDPModule)


def whole_state(model: nn.Module) -> dict[str, Any]:
    """Every weight of a model by name, whole and on the CPU.

    Of a sharded model only the first process gets them, one at a time; all processes must ask.
    """
    if not is_sharded(model):
        return {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


@contextmanager
def gathered_weights(*models: nn.Module) -> Iterator[None]:
    """Sharded models are whole meanwhile: passes without gradients then need no other process.

    All processes must enter and leave together. Models that are not sharded are left alone, and so is one that is
    whole already.
    """
    roots = [model.model if isinstance(model, AdaptersDisabled) else model for model in models]
    found = {id(part): part for root in roots for part in root.modules() if isinstance(part, FSDPModule)}
    parts = [part for part in found.values() if not getattr(part, "_cgpo_whole", False)]
    for part in parts:
        part.unshard()
        part._cgpo_whole = True  # pyright: ignore[reportArgumentType]
        part.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for part in parts:
            part._cgpo_whole = False  # pyright: ignore[reportArgumentType]
            # A root is needed again as soon as its backward pass begins.
            part.set_reshard_after_forward(part not in roots, recurse=False)
            part.reshard()
