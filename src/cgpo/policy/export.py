"""A policy as a folder that `transformers` loads; adapters both merged into it and alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from cgpo.policy.adapters import adapted_layers, has_adapters, is_adapter
from cgpo.policy.lora import ADAPTER
from cgpo.whole_files import whole_folder

if TYPE_CHECKING:
    from cgpo.policy.causal import CausalPolicy

Weights = dict[str, Tensor]


def write_policy(policy: CausalPolicy, weights: Weights, folder: Path) -> None:
    """Writes a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` load, whole or not at all.

    Where the policy has adapters they are part of the folder's weights, and lie in `adapter/` alone too, as
    `peft.PeftModel.from_pretrained` loads them on the model that training began from. Of several processes one calls
    this.

    Args:
        policy: its model's weights are neither read nor changed, so that they may be spread over processes.
        weights: the model's full state dict, on the CPU. It is emptied on the way: where nothing else holds on to these
            tensors, merging takes the memory of one layer and not of a second model.
        folder: is made; an empty one may be there.

    Raises:
        UserError: the folder holds something already.
    """
    with whole_folder(folder) as unfinished:
        if has_adapters(policy.model):
            _write_adapters(policy.model, weights, unfinished / "adapter")
            merge_adapters(policy.model, weights)
        _holding(policy.model, weights).save_pretrained(unfinished)
        policy.tokenizer.save_pretrained(unfinished)


def merge_adapters(model: PreTrainedModel, weights: Weights) -> None:
    """Turns the weights of a model with adapters into those of its base with the adapters added, in place.

    `W + alpha / r · B·A` (Hu et al. 2021, eq. 3) is computed in float32 or better and rounded to `W`'s precision once.

    Args:
        model: says which layers have adapters, and their scale; its own weights are not looked at.
        weights: the model's full state dict; no tensor of it is changed, others take their place.
    """
    for name, layer in adapted_layers(model).items():
        base = weights.pop(f"{name}.base_layer.weight")
        precise = torch.promote_types(base.dtype, torch.float32)
        low, high = (weights.pop(f"{name}.lora_{m}.{ADAPTER}.weight").to(precise) for m in "AB")
        change = layer.scaling[ADAPTER] * (high @ low)
        weights[f"{name}.weight"] = (base.to(precise) + (change.T if layer.fan_in_fan_out else change)).to(base.dtype)
        if f"{name}.base_layer.bias" in weights:
            weights[f"{name}.bias"] = weights.pop(f"{name}.base_layer.bias")


def _write_adapters(model: PreTrainedModel, weights: Weights, folder: Path) -> None:
    folder.mkdir()
    alone = {
        f"base_model.model.{name.replace(f'.{ADAPTER}.', '.')}": weight.contiguous()
        for name, weight in weights.items()
        if is_adapter(name)
    }
    save_file(alone, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config: Any = replace(model.peft_config[ADAPTER], inference_mode=True)  # pyright: ignore[reportArgumentType]
    config.target_modules = sorted(config.target_modules)  # a set, whose order would differ from run to run
    config.save_pretrained(str(folder))


def _holding(model: PreTrainedModel, weights: Weights) -> PreTrainedModel:
    """A model of the same kind, without adapters, that holds these weights; they are not copied."""
    with torch.device("meta"):
        empty = type(model)(deepcopy(model.config))
    missing, unexpected = empty.load_state_dict(weights, strict=False, assign=True)
    weights.clear()
    assert not unexpected, unexpected
    empty.tie_weights()
    assert not any(p.is_meta for p in empty.parameters()), missing
    empty.generation_config = deepcopy(model.generation_config)
    return empty
