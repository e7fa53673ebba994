"""How a model reads a conversation: text to tokens, by the tokenizer alone and without any weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from transformers import AutoConfig, PreTrainedTokenizerBase

from cgpo.models.pretrained import load_pretrained, load_tokenizer
from cgpo.types import Prompt, Sample


def tokenize(tokenizer: PreTrainedTokenizerBase, text: str, special_tokens: bool = False) -> list[int]:
    """Tokenizes a text.

    Args:
        tokenizer: the model's tokenizer.
        text: the text.
        special_tokens: adds what the tokenizer puts around a text of its own accord, such as a beginning of sequence.
    """
    encode: Any = tokenizer
    return encode(text, add_special_tokens=special_tokens)["input_ids"]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Tokenizes a prompt so that the response can follow.

    The prompt goes through the tokenizer's chat template. Without a template, the earlier turns stand before the text,
    one a line.
    """
    turns = [*prompt.history, {"role": "user", "content": prompt.text}]
    if tokenizer.chat_template is None:  # pyright: ignore[reportUnknownMemberType]
        return tokenize(tokenizer, "\n".join(turn["content"] for turn in turns), special_tokens=True)
    return _templated(tokenizer, turns, add_generation_prompt=True)


def encode_sample(tokenizer: PreTrainedTokenizerBase, sample: Sample) -> list[int]:
    """Tokenizes a prompt together with its response, as a reward model reads them; see `encode_prompt`."""
    prompt = sample.prompt
    if tokenizer.chat_template is None:  # pyright: ignore[reportUnknownMemberType]
        turns = "".join(f"{turn['content']}\n" for turn in prompt.history)
        return tokenize(tokenizer, f"{turns}{prompt.text} {sample.response}", special_tokens=True)
    answer = {"role": "assistant", "content": sample.response}
    return _templated(tokenizer, [*prompt.history, {"role": "user", "content": prompt.text}, answer])


def _templated(tokenizer: Any, turns: Sequence[Any], add_generation_prompt: bool = False) -> list[int]:
    messages = [dict(turn) for turn in turns]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
    return tokenize(tokenizer, text)


def context_length(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Finds the most tokens that a model can read: in its configuration, or else in its tokenizer."""
    limits: Any = tokenizer
    return int(getattr(config, "max_position_embeddings", None) or limits.model_max_length)


class PromptEncoder(Protocol):
    """Whatever can say whether a prompt fits a model's context."""

    @property
    def context_length(self) -> int:
        """The most tokens of a prompt and its response together."""
        ...

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Tokenizes a prompt, chat template applied, so that the response can follow."""
        ...


@dataclass(frozen=True)
class ModelPromptEncoder:
    """The prompt encoder of one model.

    Attributes:
        tokenizer: the model's tokenizer.
        context_length: the most tokens of a prompt and its response together.
    """

    tokenizer: PreTrainedTokenizerBase
    context_length: int

    @property
    def name(self) -> str:
        """The folder or hub id that the tokenizer was loaded from."""
        tokenizer: Any = self.tokenizer
        return str(tokenizer.name_or_path)

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Tokenizes a prompt, chat template applied, so that the response can follow."""
        return encode_prompt(self.tokenizer, prompt)


@dataclass(frozen=True)
class StrictestPromptEncoder:
    """Several models' encoders as one: a prompt that fits it fits every model.

    Attributes:
        encoders: at least one encoder.
    """

    encoders: Sequence[PromptEncoder]

    @property
    def context_length(self) -> int:
        """The shortest context of all the models."""
        return min(encoder.context_length for encoder in self.encoders)

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Returns the longest encoding that any of the models gives a prompt."""
        return max((encoder.encode_prompt(prompt) for encoder in self.encoders), key=len)


def load_prompt_encoder(path: str) -> ModelPromptEncoder:
    """Loads the prompt encoder of a `transformers` folder or hub id.

    Raises:
        UserError: the folder is missing, or is not a model.
    """
    tokenizer = load_tokenizer(path)
    return ModelPromptEncoder(tokenizer, context_length(load_pretrained(AutoConfig, path), tokenizer))
