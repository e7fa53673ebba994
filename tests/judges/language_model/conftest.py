"""A judge model small enough to be made on the spot, whose answers the tests set by hand."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["<unk>", "<s>", "</s>", "<|user|>", "<|end|>", "yes", "no", "maybe", "good", "bad", "Response", "Question"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words known by heart, everything else by its characters' own tokens."""
    pieces = WORDS + [chr(i) for i in range(33, 127)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=base,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=["<|user|>", "<|end|>"],
    )


@pytest.fixture
def judge_folder(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random Llama of two layers with that tokenizer, saved as a `transformers` folder."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    folder = tmp_path / "judge"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
