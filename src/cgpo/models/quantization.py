"""Stores the weights of models that are not trained in fewer bits, by `torchao` (the extra `quantization`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

from torch import nn

from cgpo.errors import UserError, first_line

QUANTIZATIONS = ("int8", "int4")
"""`int8` takes a byte a weight and a scale a row, on every device; `int4` half a byte and a scale a group, on GPUs."""
HEADS = ("lm_head", "score")
"""Layers that keep their precision, because their output is the result."""
M = TypeVar("M", bound=nn.Module)


def check_quantization(where: str, kind: object) -> None:
    """Checks that a quantization exists and is available.

    Args:
        where: the configuration key, for the message.
        kind: one of `QUANTIZATIONS`, or `None`.

    Raises:
        UserError: there is no such quantization, or torchao is not installed.
    """
    if kind is None:
        return
    if kind not in QUANTIZATIONS:
        raise UserError(f"{where} is {kind!r}: choose null, {' or '.join(QUANTIZATIONS)}")
    if find_spec("torchao") is None:
        raise UserError(f"{where}: {kind} needs the package torchao: pip install 'cgpo[quantization]'")


def quantize(model: M, kind: str | None) -> M:
    """Quantizes the weights of a model's linear layers in place, except its head; it still computes in its dtype.

    Args:
        model: a model that is not trained; its weights are frozen.
        kind: one of `QUANTIZATIONS`, or `None` to change nothing.

    Returns:
        The model.

    Raises:
        UserError: this quantization is not available here.
    """
    if kind is None:
        return model
    check_quantization("quantization", kind)
    torchao: Any = import_module("torchao.quantization")
    config = torchao.Int8WeightOnlyConfig() if kind == "int8" else torchao.Int4WeightOnlyConfig(group_size=32)
    try:
        torchao.quantize_(model.requires_grad_(False), config, filter_fn=_is_quantizable)
    except (ImportError, RuntimeError, NotImplementedError, AssertionError) as error:
        reason = f"not available here: {first_line(error)}; int8 runs on every device"
        raise UserError(f"quantization {kind}: {reason}") from error
    return model


def is_quantized(model: nn.Module) -> bool:
    """Tells whether a model was quantized; such weights cannot be sharded."""
    return any(hasattr(parameter, "__tensor_flatten__") for parameter in model.parameters())


def weight_bytes(model: nn.Module) -> int:
    """Counts the bytes that a model's parameters and buffers take as they are stored; shared ones count once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(map(_stored_bytes, tensors.values()))


def _is_quantizable(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and name.rpartition(".")[2] not in HEADS


def _stored_bytes(tensor: Any) -> int:
    if hasattr(tensor, "__tensor_flatten__"):
        inner, _ = tensor.__tensor_flatten__()
        return sum(_stored_bytes(getattr(tensor, name)) for name in inner)
    return tensor.numel() * tensor.element_size()
