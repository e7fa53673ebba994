"""The suite's policy and its tokenizer: a Llama of about 0.9 million parameters, made from scratch."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cgpo.tensors import seeded

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"
PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Words with the space before them, single digits, punctuation, white space."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int = 768, context_length: int = 256
) -> PreTrainedTokenizerFast:
    """Trains a lossless tokenizer, with which any text decodes to itself.

    Args:
        texts: the texts that merges are learned from.
        vocabulary_size: the number of tokens: 4 special ones, 256 bytes, and merges.
        context_length: the model's limit that the tokenizer reports.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=context_length,
        padding_side="left",
    )


CONTEXT_LENGTH = 256


def tiny_llama_config(
    tokenizer: PreTrainedTokenizerFast, layers: int = 3, initializer_range: float = 0.06
) -> LlamaConfig:
    """Makes a model configuration that fits the suite's tokenizer."""
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
    """Makes an untrained model; the same seed gives the same weights, and torch's generator is left as it was."""
    with seeded(seed):
        return LlamaForCausalLM(tiny_llama_config(tokenizer, layers, initializer_range))
