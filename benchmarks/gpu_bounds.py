"""What a GPU could do at most, and what of it a decoding step and an update need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Peak:
    """Of one GPU, by its data sheet.

    Attributes:
        flops: floating-point operations a second in bfloat16, dense.
        bandwidth: bytes a second to and from its memory.
    """

    flops: float
    bandwidth: float


PEAKS = {
    "NVIDIA H200": Peak(989e12, 4.80e12),
    "NVIDIA H200 NVL": Peak(835e12, 4.80e12),
    "NVIDIA H100 80GB HBM3": Peak(989e12, 3.35e12),
    "NVIDIA H100 NVL": Peak(835e12, 3.90e12),
    "NVIDIA H100 PCIe": Peak(756e12, 2.04e12),
    "NVIDIA A100-SXM4-80GB": Peak(312e12, 2.04e12),
    "NVIDIA A100 80GB PCIe": Peak(312e12, 1.94e12),
    "NVIDIA A100-SXM4-40GB": Peak(312e12, 1.56e12),
    "NVIDIA A100-PCIE-40GB": Peak(312e12, 1.56e12),
    "NVIDIA L40S": Peak(362e12, 0.864e12),
    "NVIDIA L4": Peak(121e12, 0.300e12),
    "NVIDIA GeForce RTX 4090": Peak(165e12, 1.01e12),
}
"""By the name that `torch.cuda.get_device_name` gives; a part of a GPU (MIG) has another name, and no peak here."""


@dataclass(frozen=True)
class Cost:
    """What one model costs, counted from its configuration and weights.

    Attributes:
        body: weights but for the embeddings and the head.
        head: weights of the head, also where they are the embeddings'.
        layers: number of layers.
        attention: query heads times their width.
        cached: numbers that one token adds to the cache.
        weight_bytes: bytes of the weights that every token reads: body and head.
        number_bytes: bytes of one cached number.
    """

    body: int
    head: int
    layers: int
    attention: int
    cached: int
    weight_bytes: int
    number_bytes: int

    def decoded_bytes(self, rows: int, prompt: int, tokens: int) -> float:
        """Bytes that decoding some tokens of some rows must read: each step all weights and all that is cached."""
        seen = sum(prompt + step for step in range(1, tokens + 1))
        return float(tokens * self.weight_bytes + rows * seen * self.cached * self.number_bytes)

    def update_flops(self, lengths: Sequence[tuple[int, int]]) -> float:
        """Operations of a forward and a backward pass, none of them done twice.

        Six a weight and token, the head's for a response's tokens alone; causal attention's two products over half the
        square, forward once and backward twice.

        Args:
            lengths: of each sequence, tokens of the prompt and of the response.
        """
        total = 0.0
        for prompt, response in lengths:
            whole = prompt + response
            total += 6.0 * self.body * whole + 6.0 * self.head * response
            total += 6.0 * self.layers * self.attention * whole**2
        return total


def cost_of(model: Any) -> Cost:
    """Counts a `transformers` model such as Llama and Qwen 2."""
    config = model.config
    head = model.get_output_embeddings().weight
    embeddings = {id(weight): weight for weight in (head, model.get_input_embeddings().weight)}
    body = sum(weight.numel() for weight in model.parameters() if id(weight) not in embeddings)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Cost(
        body=body,
        head=head.numel(),
        layers=config.num_hidden_layers,
        attention=config.num_attention_heads * width,
        cached=2 * config.num_hidden_layers * config.num_key_value_heads * width,
        weight_bytes=(body + head.numel()) * head.element_size(),
        number_bytes=head.element_size(),
    )
