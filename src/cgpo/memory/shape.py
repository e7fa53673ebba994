"""A model's dimensions, and the bytes that its activations, logits and key-value cache take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from cgpo.errors import UserError, first_line
from cgpo.models.pretrained import load_pretrained
from cgpo.models.quantization import HEADS


@dataclass(frozen=True)
class Shape:
    """The dimensions of one model.

    Attributes:
        parameters: the number of parameters of the whole model; tied ones count once.
        layer: the number of parameters of its largest decoder layer, the unit that sharded models gather.
        linears: the name of each kind of linear layer, heads excepted → how many there are, inputs, outputs.
        layers: the number of decoder layers.
        hidden: the width of the residual stream.
        intermediate: the width inside the feed-forward part.
        queries: the width of all query heads together.
        keys: the width of all key heads together, which is also that of the values.
        vocabulary: the number of tokens of the vocabulary.
        positions: the longest context in tokens.
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
        """The number of weights in linear layers, heads excepted, which are those that quantization touches."""
        return sum(count * inputs * outputs for count, inputs, outputs in self.linears.values())

    def adapters(self, rank: int, targets: str | list[str] = "all-linear") -> int:
        """Counts the parameters of LoRA adapters: `rank · (inputs + outputs)` a layer (Hu et al. 2021).

        Args:
            rank: the rank of the adapters.
            targets: names of linear layers, or `all-linear`.

        Raises:
            UserError: no layer has one of the names.
        """
        names = list(self.linears) if targets == "all-linear" else list(targets)
        for name in names:
            if name not in self.linears:
                raise UserError(
                    f"model.lora.targets: no linear layer is called {name!r}; choose {', '.join(self.linears)}"
                )
        chosen = [self.linears[name] for name in names]
        return sum(count * rank * (inputs + outputs) for count, inputs, outputs in chosen)


def measure_shape(architecture: Mapping[str, Any] | str, kind: str = "causal") -> Shape:
    """Measures a model, building it on torch's meta device, where nothing is stored.

    Args:
        architecture: the content of its `config.json`, or a folder or hub id that has this file.
        kind: `causal`, or `reward` for a sequence classifier with one output.

    Raises:
        UserError: the configuration cannot be loaded, or transformers has no such model.
    """
    if isinstance(architecture, str):
        config = load_pretrained(AutoConfig, architecture)
    else:
        auto_config: Any = AutoConfig
        settings = dict(architecture)
        try:
            config = auto_config.for_model(settings.pop("model_type"), **settings)
        except (KeyError, ValueError) as error:
            raise UserError(f"architecture: model_type: {first_line(error)}") from error
    config.num_labels = 1
    auto_class: Any = AutoModelForCausalLM if kind == "causal" else AutoModelForSequenceClassification
    with torch.device("meta"):
        return _measure(auto_class.from_config(config))


def _measure(model: Any) -> Shape:
    config = model.config
    layers = max((module for module in model.modules() if isinstance(module, nn.ModuleList)), key=len)
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


@dataclass(frozen=True)
class ActivationBytes:
    """The bytes that autograd saves for each token and decoder layer, by unit of width.

    Counted by `benchmarks/plan.py` on Llama's layer with fused attention: the inputs of norms and matrix products, the
    queries, keys and values, and the gated product. With checkpointing a layer saves only its input.

    Attributes:
        hidden: for each unit of the residual stream.
        queries: for each unit of the queries.
        keys: for each unit of the keys.
        intermediate: for each unit of the feed-forward part.
        checkpoint: for each unit of the residual stream, of the input of a layer that is recomputed.
    """

    hidden: int
    queries: int
    keys: int
    intermediate: int
    checkpoint: int


FLOAT32 = ActivationBytes(hidden=24, queries=8, keys=8, intermediate=16, checkpoint=4)
BFLOAT16 = ActivationBytes(hidden=16, queries=4, keys=4, intermediate=8, checkpoint=2)
AUTOCAST = ActivationBytes(hidden=26, queries=4, keys=4, intermediate=8, checkpoint=4)
"""With float32 weights and autocast to bfloat16 the residual stream stays float32."""


def layer_activations(shape: Shape, tokens: int, saved: ActivationBytes, tensor_parallel: int = 1) -> float:
    """Counts the bytes that one layer saves for its backward pass.

    Args:
        shape: the model's dimensions.
        tokens: the tokens of the micro-batch.
        saved: the bytes by unit of width.
        tensor_parallel: the number of processes that share the matrices, and with them what lies between the matrices.
    """
    between = saved.queries * shape.queries + saved.keys * shape.keys + saved.intermediate * shape.intermediate
    return tokens * (saved.hidden * shape.hidden + between / tensor_parallel)


def update_activations(
    shape: Shape, tokens: int, saved: ActivationBytes, checkpointing: bool, tensor_parallel: int = 1
) -> float:
    """Counts the bytes that a forward pass saves for its backward pass; see `layer_activations` for the arguments."""
    layer = layer_activations(shape, tokens, saved, tensor_parallel)
    if not checkpointing:
        return shape.layers * layer
    return shape.layers * tokens * saved.checkpoint * shape.hidden + layer


def logit_bytes(shape: Shape, tokens: int) -> float:
    """Counts the bytes of a chunk's logits: as computed, in float32, and their softmax and gradient in float32."""
    return tokens * shape.vocabulary * (2 + 3 * 4)


def cache_bytes(shape: Shape, rows: int, tokens: int, number: int, tensor_parallel: int = 1) -> float:
    """Counts the bytes of keys and values.

    Args:
        shape: the model's dimensions.
        rows: the number of sequences being decoded.
        tokens: the tokens of the longest of them.
        number: the bytes of one number.
        tensor_parallel: the number of processes that share the heads.
    """
    return rows * tokens * shape.layers * 2 * shape.keys * number / tensor_parallel
