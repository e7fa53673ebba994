"""Low-rank adapters on a frozen causal language model (LoRA, Hu et al. 2021, arXiv 2106.09685), by peft."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cgpo.config import LoraConfig, checked
from cgpo.errors import UserError
from cgpo.seeds import derived_seed
from cgpo.tensors import at_least_float32, seeded

ALL_LINEAR = "all-linear"
ADAPTER = "default"
"""The name of the one set of adapters, as it appears in the names of its weights."""
LINEAR = (nn.Linear, Conv1D)


def lora_settings(given: object) -> LoraConfig:
    """Reads settings from a mapping such as `{r: 16, alpha: 32}`; those that are left out keep their defaults.

    Raises:
        UserError: it is not a mapping, it names an unknown setting, a setting is out of range, or peft is missing.
    """
    settings = checked(LoraConfig, given, "model.lora")
    if find_spec("peft") is None:
        raise UserError("model.lora: peft, which makes the adapters, is missing: pip install 'cgpo[lora]'")
    return settings


def add_adapters(model: PreTrainedModel, settings: LoraConfig) -> None:
    """Freezes a model in place and puts trainable adapters on its linear layers.

    The model keeps its class, so that its layers are found where they were. Adapters have the model's own precision,
    or float32 if that is half precision, in which an optimizer's steps would be rounded away.

    Args:
        model: a model without adapters.
        settings: which layers get adapters, and of which rank.

    Raises:
        UserError: a target is not a linear layer of the model.
    """
    from peft import LoraConfig, TaskType, inject_adapter_in_model

    layers = _linear_layers(model)
    targets = _resolve_targets(layers, settings.targets)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=0.0,
        target_modules=targets,
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=model.config.name_or_path,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
    )
    with seeded(derived_seed(settings.seed, "lora")):
        inject_adapter_in_model(config, model, ADAPTER)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(at_least_float32(parameter.dtype))


def _linear_layers(model: Any) -> dict[str, nn.Module]:
    """Lists all linear layers by name except the output layer, whose matrix is often the embeddings' as well."""
    output = model.get_output_embeddings()
    return {n: layer for n, layer in model.named_modules() if isinstance(layer, LINEAR) and layer is not output}


def _resolve_targets(layers: Iterable[str], wanted: str | Sequence[str]) -> list[str]:
    """Turns `LoraConfig.targets` into the ends of layers' names.

    Args:
        layers: the names of all linear layers.
        wanted: the setting.

    Raises:
        UserError: a name that is wanted belongs to no layer.
    """
    if isinstance(wanted, str):
        return sorted({layer.rsplit(".", 1)[-1] for layer in layers})
    for name in wanted:
        if not any(f".{layer}".endswith(f".{name}") for layer in layers):
            choices = ", ".join([ALL_LINEAR, *_resolve_targets(layers, ALL_LINEAR)])
            raise UserError(f"model.lora.targets: the model has no linear layer {name!r}; choose {choices}")
    return list(wanted)


def has_adapters(model: nn.Module) -> bool:
    """Tells whether `add_adapters` was applied to a model."""
    return getattr(model, "peft_config", None) is not None


def is_adapter_weight(name: str) -> bool:
    """Tells whether a weight of this name belongs to an adapter."""
    return ".lora_A." in name or ".lora_B." in name


def adapted_layers(module: Any) -> dict[str, Any]:
    """Lists the layers with adapters (`peft.tuners.lora.LoraLayer`) by name."""
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLayer)}


def merge_adapters(model: PreTrainedModel, weights: dict[str, Tensor]) -> None:
    """Turns a state dict with adapters into one of the base model with the adapters added, in place.

    `W + alpha / r · B·A` (Hu et al. 2021, eq. 3) is computed in float32 or better and rounded to `W`'s precision once.

    Args:
        model: tells which layers have adapters, and their scale; its own weights are not read.
        weights: the model's full state dict; its tensors are replaced, not changed.
    """
    for name, layer in adapted_layers(model).items():
        base = weights.pop(f"{name}.base_layer.weight")
        precise = at_least_float32(base.dtype)
        low, high = (weights.pop(f"{name}.lora_{m}.{ADAPTER}.weight").to(precise) for m in "AB")
        change = layer.scaling[ADAPTER] * (high @ low)
        weights[f"{name}.weight"] = (base.to(precise) + (change.T if layer.fan_in_fan_out else change)).to(base.dtype)
        if f"{name}.base_layer.bias" in weights:
            weights[f"{name}.bias"] = weights.pop(f"{name}.base_layer.bias")


def merged_copy(module: nn.Module) -> nn.Module:
    """Copies a module, with its adapters merged into the weights, all of which are trainable."""
    copy = deepcopy(module)
    if any(is_adapter_weight(name) for name, _ in copy.named_parameters()):
        for name, layer in adapted_layers(copy).items():
            layer.merge()
            copy.set_submodule(name, layer.get_base_layer())
    return copy.requires_grad_(True)


class AdaptersDisabled(nn.Module):
    """A model as it is without its adapters: the policy that training started from, at no cost in memory.

    It is called like the model itself and registers none of its weights, so that nothing saves, moves, shards or
    optimizes them a second time. It is frozen and always in evaluation mode; a call leaves the model's own mode, and
    which of its weights have gradients, as they were.

    Args:
        model: a model with adapters; it may be trained, moved and sharded meanwhile.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        # In tuples, where nn.Module does not look for submodules.
        self._shared = (model,)
        self._layers = tuple(adapted_layers(model).values())
        self.eval()

    @property
    def model(self) -> PreTrainedModel:
        """The model with its adapters."""
        return self._shared[0]

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def generation_config(self) -> Any:
        """The model's generation configuration."""
        return self.model.generation_config

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the model."""
        return self.model.dtype

    def get_input_embeddings(self) -> nn.Module:
        """Returns the model's input embeddings."""
        return self.model.get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """Returns the model's output layer."""
        model: Any = self.model
        return model.get_output_embeddings()

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Yields the base model's weights under the names that they have without adapters."""
        for name, parameter in self.model.named_parameters(prefix, recurse, remove_duplicate):
            if not is_adapter_weight(name):
                yield name.replace(".base_layer.", "."), parameter

    def train(self, mode: bool = True) -> AdaptersDisabled:
        """Stays in evaluation mode and leaves the model in its own."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the model without its adapters."""
        with self._adapters_off(), eval_mode(self.model):
            return self.model(*args, **kwargs)

    @contextmanager
    def _adapters_off(self) -> Generator[None]:
        # Not by peft's own switch, `enable_adapters`, which also toggles `requires_grad` of all adapters.
        for layer in self._layers:
            layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in self._layers:
                layer._disable_adapters = False


@contextmanager
def eval_mode(model: nn.Module) -> Generator[None]:
    """Puts a model in evaluation mode for the length of a block, then gives each of its modules its own mode back.

    In training mode a model that recomputes activations discards its key-value cache.
    """
    modules = [module for module in model.modules() if module.training] if model.training else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True
