"""How models read prompts: known from a tokenizer and a configuration, without any weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from transformers import AutoConfig, PreTrainedTokenizerBase

from cgpo.models.pretrained import load_pretrained, load_tokenizer
from cgpo.types import Prompt


class Reader(Protocol):
    """What says whether a prompt fits."""

    @property
    def context_length(self) -> int:
        """The most tokens, prompt and response together."""
        ...

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, chat template applied, ready for the response to follow."""
        ...


@dataclass(frozen=True)
class ModelReader:
    """One model as a reader.

    Attributes:
        tokenizer: of the model.
        context_length: the most tokens, prompt and response together.
    """

    tokenizer: PreTrainedTokenizerBase
    context_length: int

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, chat template applied, ready for the response to follow."""
        return encode_prompt(self.tokenizer, prompt)


@dataclass(frozen=True)
class StrictestReader:
    """Several models as one reader, so that what fits it fits all: the shortest context, the longest encoding.

    Attributes:
        readers: at least one.
    """

    readers: Sequence[Reader]

    @property
    def context_length(self) -> int:
        """The shortest."""
        return min(reader.context_length for reader in self.readers)

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The longest."""
        return max((reader.encode_prompt(prompt) for reader in self.readers), key=len)


def load_reader(path: str) -> ModelReader:
    """The reader of a `transformers` folder or hub id.

    Raises:
        UserError: the folder is missing, or holds something else.
    """
    tokenizer = load_tokenizer(path)
    return ModelReader(tokenizer, context_length(load_pretrained(AutoConfig, path), tokenizer))


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """A prompt's tokens, rendered through the chat template where there is one."""
    if tokenizer.chat_template is None:
        turns = "".join(f"{turn['content']}\n" for turn in prompt.history)
        return tokenizer(turns + prompt.text)["input_ids"]  # pyright: ignore[reportReturnType]
    messages = [dict(turn) for turn in prompt.history] + [{"role": "user", "content": prompt.text}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]  # pyright: ignore[reportReturnType, reportArgumentType]


def context_length(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """The most tokens a model can read, by its configuration, or by its tokenizer where that does not say."""
    return int(getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length)
