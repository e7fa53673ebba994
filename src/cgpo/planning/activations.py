"""Bytes of what a forward pass leaves in memory."""

from __future__ import annotations

from dataclasses import dataclass

from cgpo.planning.shape import Shape


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
