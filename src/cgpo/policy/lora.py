"""Low-rank adapters on a frozen causal language model (LoRA, Hu et al. 2021, arXiv 2106.09685), by peft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cgpo.errors import UserError
from cgpo.seeds import derived_seed

ALL_LINEAR = "all-linear"
ADAPTER = "default"
"""The name of the one set of adapters, as it stands in the names of its weights."""
LINEAR = (nn.Linear, Conv1D)


@dataclass(frozen=True)
class LoraSettings:
    """What `model.lora` says: each targeted matrix `W` becomes `W + alpha / r · B·A`, and only `A` and `B` are trained.

    Attributes:
        r: rank of `B·A`.
        alpha: the product's scale, times `r`.
        dropout: 0: log-probabilities must be those of the policy that sampled.
        targets: names of linear layers, as they end (`q_proj`), or `all-linear` for all but the output layer.
        seed: of `A`; `B` begins at 0, so that fresh adapters change nothing.

    Raises:
        UserError: a setting is out of its range.
    """

    r: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str | Sequence[str] = ALL_LINEAR
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("r", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"model.lora.{name} is {value!r}: it must be a whole number of at least {least}")
        if not isinstance(self.alpha, int | float) or isinstance(self.alpha, bool) or not 0 < self.alpha < float("inf"):
            raise UserError(f"model.lora.alpha is {self.alpha!r}: it must be a number above 0")
        if self.dropout != 0:
            raise UserError(
                f"model.lora.dropout is {self.dropout!r}: it must be 0, "
                "since log-probabilities must be those of the policy that sampled"
            )
        named = not isinstance(self.targets, str) and isinstance(self.targets, Sequence) and len(self.targets) > 0
        if self.targets != ALL_LINEAR and not (named and all(isinstance(name, str) for name in self.targets)):
            raise UserError(f"model.lora.targets is {self.targets!r}: it must be {ALL_LINEAR}, or a list of names")


def lora_settings(given: Any) -> LoraSettings:
    """The settings of a mapping such as `{r: 16, alpha: 32}`; what it leaves out keeps its default.

    Raises:
        UserError: it is no mapping, names a setting that does not exist, or one is out of its range; peft is missing.
    """
    known = LoraSettings.__dataclass_fields__
    if not isinstance(given, Mapping):
        raise UserError(f"model.lora is {given!r}: it must be null, or a mapping such as {{r: 16, alpha: 32}}")
    for name in given:
        if name not in known:
            raise UserError(f"model.lora.{name}: there is no such setting; choose {', '.join(known)}")
    settings = LoraSettings(**given)
    if find_spec("peft") is None:
        raise UserError("model.lora: peft, which makes the adapters, is missing: pip install 'cgpo[lora]'")
    return settings


def add_adapters(model: PreTrainedModel, settings: LoraSettings) -> None:
    """Freezes a model and puts adapters, which are all that is trained, on its linear layers, in place.

    The model stays the class it was, so that its layers are found where they were. Adapters are in the model's own
    precision, or in float32 where that is a half one: the steps of an optimizer would be rounded away in it.

    Args:
        model: without adapters.
        settings: which, and of which rank.

    Raises:
        UserError: a target is no linear layer of the model.
    """
    from peft import LoraConfig, TaskType, inject_adapter_in_model

    layers = _linear_layers(model)
    targets = _targets(layers, settings.targets)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=0.0,
        target_modules=targets,
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=model.config.name_or_path,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "lora"))
        inject_adapter_in_model(config, model, ADAPTER)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()


def _linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """All linear layers but the output layer, whose matrix is often the embeddings' as well."""
    output = model.get_output_embeddings()
    return {n: layer for n, layer in model.named_modules() if isinstance(layer, LINEAR) and layer is not output}


def _targets(layers: Iterable[str], wanted: str | Sequence[str]) -> list[str]:
    """The ends of the targeted layers' names.

    Args:
        layers: names of all that there are.
        wanted: see `LoraSettings`.

    Raises:
        UserError: a wanted name is no layer's.
    """
    if isinstance(wanted, str):
        return sorted({layer.rsplit(".", 1)[-1] for layer in layers})
    for name in wanted:
        if not any(f".{layer}".endswith(f".{name}") for layer in layers):
            choices = ", ".join([ALL_LINEAR, *_targets(layers, ALL_LINEAR)])
            raise UserError(f"model.lora.targets: the model has no linear layer {name!r}; choose {choices}")
    return list(wanted)
