"""The suite's policy: a Llama of about 0.9 million parameters, from scratch."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cgpo.data.suite.tokenizer import END, PAD

CONTEXT_LENGTH = 256


def tiny_llama_config(
    tokenizer: PreTrainedTokenizerFast, layers: int = 3, initializer_range: float = 0.06
) -> LlamaConfig:
    """The configuration that fits the suite's tokenizer."""
    vocabulary = tokenizer.get_vocab()
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        initializer_range=initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=vocabulary[END],
        pad_token_id=vocabulary[PAD],
    )


def tiny_llama(
    tokenizer: PreTrainedTokenizerFast, seed: int = 0, layers: int = 3, initializer_range: float = 0.06
) -> LlamaForCausalLM:
    """An untrained model; the same seed gives the same weights, and the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(tiny_llama_config(tokenizer, layers, initializer_range))
