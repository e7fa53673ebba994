"""What a model's memory depends on, read off the model itself without any weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from cgpo.errors import UserError
from cgpo.pretrained import load_pretrained
from cgpo.quantization import HEADS


@dataclass(frozen=True)
class Shape:
    """Numbers of one model.

    Attributes:
        parameters: of the whole model; what is tied counts once.
        layer: parameters of its largest decoder layer: what is gathered at a time where models are sharded.
        linears: name of each kind of linear layer, heads excepted → (how many, inputs, outputs).
        layers: decoder layers.
        hidden: width of the residual stream.
        intermediate: width inside the feed-forward part.
        queries: width of all query heads together.
        keys: width of all key heads together; values are as wide.
        vocabulary: tokens.
        positions: the longest context.
    """

    parameters: int
    layer: int
    linears: Mapping[str, tuple[int, int, int]]
    layers: int
    hidden: int
    intermediate: int
    queries: int
    keys: int
    vocabulary: int
    positions: int

    @property
    def linear(self) -> int:
        """Weights of the linear layers, heads excepted: what quantisation touches."""
        return sum(count * inputs * outputs for count, inputs, outputs in self.linears.values())

    def adapters(self, rank: int, targets: str | list[str] = "all-linear") -> int:
        """Parameters of LoRA adapters: `rank · (inputs + outputs)` a layer (Hu et al. 2021, arXiv 2106.09685).

        Raises:
            UserError: no layer bears one of the names.
        """
        names = list(self.linears) if targets == "all-linear" else list(targets)
        for name in names:
            if name not in self.linears:
                raise UserError(
                    f"model.lora.targets: no linear layer is called {name!r}; choose {', '.join(self.linears)}"
                )
        chosen = [self.linears[name] for name in names]
        return sum(count * rank * (inputs + outputs) for count, inputs, outputs in chosen)


def shape_of(architecture: Mapping[str, Any] | str, kind: str = "causal") -> Shape:
    """The numbers of a model, which is made on the meta device, where nothing is stored.

    Args:
        architecture: what its `config.json` says; or a folder or hub id with that file.
        kind: `causal`, or `reward` for a sequence classifier with one output.

    Raises:
        UserError: the configuration cannot be loaded, or transformers knows no such model.
    """
    if isinstance(architecture, str):
        config = load_pretrained(AutoConfig, architecture)
    else:
        settings = dict(architecture)
        try:
            config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        except (KeyError, ValueError) as error:
            raise UserError(f"architecture: model_type: {str(error).splitlines()[0]}") from error
    config.num_labels = 1
    auto_class = AutoModelForCausalLM if kind == "causal" else AutoModelForSequenceClassification
    with torch.device("meta"):
        return _measured(auto_class.from_config(config))


def _measured(model: Any) -> Shape:
    config = model.config
    blocks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    layers = max(blocks, key=len)
    linears: dict[str, tuple[int, int, int]] = {}
    for path, module in model.named_modules():
        name = path.rpartition(".")[2]
        if isinstance(module, nn.Linear) and name not in HEADS:
            count = linears.get(name, (0, 0, 0))[0] + 1
            linears[name] = (count, module.in_features, module.out_features)
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()),
        layer=max(sum(p.numel() for p in layer.parameters()) for layer in layers),
        linears=linears,
        layers=len(layers),
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        queries=heads * width,
        keys=(getattr(config, "num_key_value_heads", None) or heads) * width,
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
    )
