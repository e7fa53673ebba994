"""Bytes of what a forward pass leaves in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from cgpo.errors import UserError
from cgpo.models.pretrained import load_pretrained
from cgpo.models.quantization import HEADS


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


@dataclass(frozen=True)
class Kept:
    """Bytes that autograd keeps a token and decoder layer, for each unit of a width.

    Counted by `benchmarks/plan.py` on Llama's layer with fused attention: inputs of norms and matrix products, queries,
    keys and values, the gated product. With checkpointing a layer keeps its input alone.

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


FLOAT32 = Kept(hidden=24, queries=8, keys=8, intermediate=16, checkpoint=4)
BFLOAT16 = Kept(hidden=16, queries=4, keys=4, intermediate=8, checkpoint=2)
AUTOCAST = Kept(hidden=26, queries=4, keys=4, intermediate=8, checkpoint=4)
"""Where weights are float32 and autocast computes in bfloat16, the residual stream stays float32."""


def of_layer(shape: Shape, tokens: int, kept: Kept, tensor_parallel: int = 1) -> float:
    """Bytes that one layer keeps for its backward pass; what lies between split matrices is split with them.

    Args:
        shape: the model's numbers.
        tokens: of the micro-batch.
        kept: bytes a unit.
        tensor_parallel: processes that share the matrices.
    """
    between = kept.queries * shape.queries + kept.keys * shape.keys + kept.intermediate * shape.intermediate
    return tokens * (kept.hidden * shape.hidden + between / tensor_parallel)


def of_update(shape: Shape, tokens: int, kept: Kept, checkpointing: bool, tensor_parallel: int = 1) -> float:
    """Bytes that the forward pass of a micro-batch keeps for its backward pass; the same arguments."""
    layer = of_layer(shape, tokens, kept, tensor_parallel)
    if not checkpointing:
        return shape.layers * layer
    return shape.layers * tokens * kept.checkpoint * shape.hidden + layer


def of_logits(shape: Shape, tokens: int) -> float:
    """Bytes of a chunk's logits: as computed and in float32, their softmax and its gradient in float32."""
    return tokens * shape.vocabulary * (2 + 3 * 4)


def of_cache(shape: Shape, rows: int, tokens: int, number: int, tensor_parallel: int = 1) -> float:
    """Bytes of keys and values.

    Args:
        shape: the model's numbers.
        rows: sequences under way.
        tokens: of the longest of them.
        number: bytes of one.
        tensor_parallel: processes that share the heads.
    """
    return rows * tokens * shape.layers * 2 * shape.keys * number / tensor_parallel
