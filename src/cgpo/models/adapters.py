"""A model with adapters, seen without them: the reference that shares its weights, and copies of its base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


def has_adapters(model: nn.Module) -> bool:
    """Whether `cgpo.policy.lora.add_adapters` was here."""
    return getattr(model, "peft_config", None) is not None


def adapted_layers(module: nn.Module) -> dict[str, Any]:
    """The layers that carry adapters (`peft.tuners.lora.LoraLayer`), by name."""
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLayer)}


class SharedBase(nn.Module):
    """A model with its adapters disabled: the policy that training began from, at no cost in memory.

    It is used as the model itself is, and registers none of its weights: nothing saves, moves, shards or optimises them
    a second time. It is frozen and always in evaluation mode; the model's own mode, and what of it gets a gradient, are
    the same after a call as before.

    Args:
        model: with adapters; it may be trained, moved and sharded.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        # In tuples, where nn.Module does not look for submodules.
        self._shared = (model,)
        self._layers = tuple(adapted_layers(model).values())
        self.eval()

    @property
    def model(self) -> PreTrainedModel:
        """The model whose weights these are."""
        return self._shared[0]

    @property
    def config(self) -> Any:
        """The model's."""
        return self.model.config

    @property
    def generation_config(self) -> Any:
        """The model's."""
        return self.model.generation_config

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The model's."""
        return self.model.dtype

    def get_input_embeddings(self) -> nn.Module:
        """The model's."""
        return self.model.get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """The model's."""
        return self.model.get_output_embeddings()

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The base's weights, under the names that they have without adapters."""
        for name, parameter in self.model.named_parameters(prefix, recurse, remove_duplicate):
            if not is_adapter(name):
                yield name.replace(".base_layer.", "."), parameter

    def train(self, mode: bool = True) -> SharedBase:
        """Stays in evaluation mode, and leaves the model in its own."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model answers without its adapters."""
        with self._adapters_off(), evaluating(self.model):
            return self.model(*args, **kwargs)

    @contextmanager
    def _adapters_off(self) -> Iterator[None]:
        # peft's own switch, `enable_adapters`, turns `requires_grad` of all adapters off and on again besides.
        for layer in self._layers:
            layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in self._layers:
                layer._disable_adapters = False


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Runs a model in evaluation mode, and gives each of its modules its own mode back.

    In training mode a model that recomputes activations forgets its key-value cache.
    """
    modules = [module for module in model.modules() if module.training] if model.training else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True


def is_adapter(name: str) -> bool:
    """Whether a weight of that name belongs to an adapter."""
    return ".lora_A." in name or ".lora_B." in name


def base_copy(module: nn.Module) -> nn.Module:
    """A copy of a module with weights of its own, all trainable, in which adapters have become part of the weights."""
    copy = deepcopy(module)
    if any(is_adapter(name) for name, _ in copy.named_parameters()):
        for name, layer in adapted_layers(copy).items():
            layer.merge()
            copy.set_submodule(name, layer.get_base_layer())
    return copy.requires_grad_(True)
