"""A policy small enough to be made on the spot: a random Llama over thirty-two whole words."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from cgpo.policy.causal import CausalPolicy, policy_from_model
from cgpo.types import Prompt

WORDS = ["<pad>", "</s>", "<stop>", "<unk>", *(f"w{i}" for i in range(4, 32))]
PAD, EOS, STOP = 0, 1, 2


def words(*ids: int) -> str:
    """The text of some tokens."""
    return " ".join(WORDS[i] for i in ids)


def prompt(*ids: int, **fields: Any) -> Prompt:
    """A prompt of some tokens, whose key is its text."""
    return Prompt(**{"key": words(*ids), "text": words(*ids), **fields})


def tiny_tokenizer(**settings: Any) -> PreTrainedTokenizerFast:
    base = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>", "model_max_length": 64}
    return PreTrainedTokenizerFast(tokenizer_object=base, extra_special_tokens=["<stop>"], **{**named, **settings})


def tiny_model(seed: int = 0, dtype: torch.dtype = torch.float64, **config: Any) -> LlamaForCausalLM:
    """Two layers of width 16; weights wide enough for its distributions to be far from uniform."""
    settings = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.4,
        "bos_token_id": None,
        "eos_token_id": [EOS, STOP],
        "pad_token_id": PAD,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**{**settings, **config})).to(dtype).eval()
    return _without_float32(model) if dtype == torch.float64 else model


def _without_float32(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Llama's norms compute in float32 whatever the weights are; in a float64 model these are exact."""
    norms = [(name, module) for name, module in model.named_modules() if isinstance(module, LlamaRMSNorm)]
    for name, module in norms:
        exact = torch.nn.RMSNorm(module.weight.shape, eps=module.variance_epsilon)
        exact.weight = module.weight
        model.set_submodule(name, exact)
    return model


def tiny_policy(seed: int = 0, dtype: torch.dtype = torch.float64, **config: Any) -> CausalPolicy:
    return policy_from_model(tiny_model(seed, dtype, **config), tiny_tokenizer())


def save_tiny(folder: Path, seed: int = 0, dtype: torch.dtype = torch.float32, **config: Any) -> Path:
    """Writes a model and its tokenizer."""
    tiny_model(seed, dtype, **config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
