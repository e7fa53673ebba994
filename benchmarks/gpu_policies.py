"""What is run on a GPU: policies of published shapes with random weights, prompts, and how long responses are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from cgpo.policy.causal import CausalPolicy, policy_from_model

PAD, EOS = 0, 1
SHAPES: dict[str, dict[str, Any]] = {
    "qwen-0.5b": {  # as Qwen2.5-0.5B
        "model_type": "qwen2",
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "rms_norm_eps": 1e-6,
    },
    "qwen-1.5b": {  # as Qwen2.5-1.5B
        "model_type": "qwen2",
        "vocab_size": 151_936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "rms_norm_eps": 1e-6,
    },
    "llama-1b": {  # as Llama-3.2-1B, but for the scaling of its positions beyond 8192
        "model_type": "llama",
        "vocab_size": 128_256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
        "rms_norm_eps": 1e-5,
    },
    "tiny": {
        "model_type": "qwen2",
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


@dataclass(frozen=True)
class Sizes:
    """How much is run.

    Attributes:
        prompts: `B`.
        copies: `K`.
        prompt: tokens of the longest prompt; the shortest has three quarters of them.
        shortest: fewest tokens of a response in a training step.
        mean: their mean, before the cut.
        longest: the most.
        steps: that are measured, after one that warms up.
        decoded: tokens of a row where decoding alone is measured.
        rows: how many are decoded at once there.
    """

    prompts: int = 16
    copies: int = 8
    prompt: int = 256
    shortest: int = 256
    mean: int = 384
    longest: int = 512
    steps: int = 2
    decoded: int = 64
    rows: tuple[int, ...] = (1, 16, 128)


REAL, TINY = Sizes(), Sizes(4, 2, 16, 8, 12, 16, 1, 8, (1, 4))


def build_policy(name: str, device: str, dtype: torch.dtype) -> CausalPolicy:
    """A policy with random weights, always the same on the same kind of device, made where it is used."""
    shape = dict(SHAPES[name])
    kind = shape.pop("model_type")
    settings = {"max_position_embeddings": 2048, "tie_word_embeddings": True, "pad_token_id": PAD, "eos_token_id": EOS}
    config = AutoConfig.for_model(kind, **shape, **settings, bos_token_id=None)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return policy_from_model(model.eval(), tokenizer(shape["vocab_size"]))


def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Whole words, one a token: hexadecimal numbers, so that any token has a text."""
    words = ["<pad>", "</s>", *(f"{i:x}" for i in range(2, vocabulary))]
    base = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    base.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    base.decoder = decoders.WordPiece(prefix="##", cleanup=False)  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(tokenizer_object=base, eos_token="</s>", pad_token="<pad>", unk_token="<pad>")


def prompt_texts(count: int, longest: int, shortest: int, vocabulary: int) -> list[str]:
    """Random words; the first prompt has the most, the others anything down to the fewest."""
    random = Random(0)
    lengths = [longest, *(random.randint(shortest, longest) for _ in range(count - 1))]
    return [" ".join(f"{random.randrange(2, vocabulary):x}" for _ in range(length)) for length in lengths]


def force_lengths(model: Any, sizes: Sizes) -> None:
    """Makes decoding end responses by chance alone: from the shortest length on, with the same probability anywhere.

    Only a pass whose logits are of one position a row is touched: training sees the model's own. Nothing here waits for
    the device, so that it may be part of a CUDA graph.
    """
    odds = 1 / (sizes.mean - sizes.shortest)

    def hook(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        cache = kwargs.get("past_key_values")
        if cache is None or output.logits.shape[1] != 1:
            return
        logits: Tensor = output.logits[:, -1]
        logits[:, EOS] = -math.inf
        drawn = cache.get_seq_length() - sizes.prompt + 1  # a tensor, where the cache is static
        ends = logits.float().logsumexp(-1) + math.log(odds)
        if isinstance(drawn, Tensor):
            ends = torch.where(drawn >= sizes.shortest, ends, -math.inf)
        elif drawn < sizes.shortest:
            return
        logits[:, EOS] = ends.to(logits.dtype)

    model.register_forward_hook(hook, with_kwargs=True)


def reward(text: str) -> float:
    """Costs nothing, and differs from response to response, so that none is left out of the objective."""
    return 0.05 * text.count("e") + 0.001 * len(text)
