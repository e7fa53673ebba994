"""Weights of models that are not trained, in fewer bits, by `torchao` (the extra `quantization`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

from torch import nn

from cgpo.errors import UserError

KINDS = ("int8", "int4")
"""`int8`: a byte a weight and a scale a row; on every device. `int4`: half a byte, a scale a group; on GPUs."""
HEADS = ("lm_head", "score")
"""Layers that keep their precision: what comes out of them is the number that is wanted."""
M = TypeVar("M", bound=nn.Module)


def check_quantization(where: str, kind: object) -> None:
    """Asserts that models can be quantised in this way here.

    Raises:
        UserError: there is no such kind, or the library that does it is not installed.
    """
    if kind is None:
        return
    if kind not in KINDS:
        raise UserError(f"{where} is {kind!r}: choose null, {' or '.join(KINDS)}")
    if find_spec("torchao") is None:
        raise UserError(f"{where}: {kind} needs the package torchao: pip install 'cgpo[quantization]'")


def quantize(model: M, kind: str | None) -> M:
    """Quantises the weights of a model's linear layers in place, its head excepted; the computation keeps its dtype.

    Args:
        model: gradients no longer reach its weights.
        kind: one of `KINDS`, or `None` to leave it alone.

    Raises:
        UserError: this kind is not available here.
    """
    if kind is None:
        return model
    check_quantization("quantization", kind)
    torchao: Any = import_module("torchao.quantization")
    config = torchao.Int8WeightOnlyConfig() if kind == "int8" else torchao.Int4WeightOnlyConfig(group_size=32)
    try:
        torchao.quantize_(model.requires_grad_(False), config, filter_fn=_within)
    except (ImportError, RuntimeError, NotImplementedError, AssertionError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"quantization {kind}: not available here: {first_line}; int8 runs on every device") from error
    return model


def is_quantized(model: nn.Module) -> bool:
    """Whether `quantize` was here: such weights cannot be cut in pieces."""
    return any(hasattr(parameter, "__tensor_flatten__") for parameter in model.parameters())


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's parameters and buffers as they are stored; what is shared counts once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(map(_stored, tensors.values()))


def _within(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and name.rpartition(".")[2] not in HEADS


def _stored(tensor: Any) -> int:
    if hasattr(tensor, "__tensor_flatten__"):
        inner, _ = tensor.__tensor_flatten__()
        return sum(_stored(getattr(tensor, name)) for name in inner)
    return tensor.numel() * tensor.element_size()
