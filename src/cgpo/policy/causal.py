"""A causal language model with its tokenizer, as the other rooms see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from cgpo.errors import UserError
from cgpo.policy.reader import context_length, encode_prompt
from cgpo.pretrained import load_tokenizer, load_whole, torch_dtype, without_dropout
from cgpo.types import Prompt


@dataclass(frozen=True)
class CausalPolicy:
    """Text in, tokens and log-probabilities out; implements `cgpo.protocols.Policy`.

    Attributes:
        model: the `transformers` causal language model.
        tokenizer: its tokenizer; where it has a chat template, prompts are rendered through it.
        eos_ids: the tokens that end a response.
        pad_id: the token that fills batches up.
        context_length: the most tokens, prompt and response together.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_ids: frozenset[int]
    pad_id: int
    context_length: int

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, chat template applied, ready for the response to follow."""
        return encode_prompt(self.tokenizer, prompt)

    def encode_response(self, text: str) -> list[int]:
        """A given response's tokens, with the token that ends it."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]  # pyright: ignore[reportAssignmentType]
        end = self.tokenizer.eos_token_id
        return [*ids, end if end in self.eos_ids else min(self.eos_ids)]

    def decode(self, ids: Sequence[int]) -> str:
        """The response's text without special tokens."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text if isinstance(text, str) else "".join(text)

    def frozen_copy(self) -> CausalPolicy:
        """The same policy with weights of its own that no gradient reaches: `π_ref`."""
        model = deepcopy(self.model).eval().requires_grad_(False)
        return CausalPolicy(model, self.tokenizer, self.eos_ids, self.pad_id, self.context_length)

    def save(self, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
        """Writes a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` load.

        Args:
            folder: is made.
            state: every weight by name, where the model holds but pieces of them.
        """
        self.model.save_pretrained(folder, state_dict=state)
        self.tokenizer.save_pretrained(folder)


def load_policy(path: str, dtype: str = "float32", gradient_checkpointing: bool = False) -> CausalPolicy:
    """Loads a policy from a `transformers` folder or hub id, without dropout.

    Args:
        path: folder or hub id.
        dtype: `float32`, `bfloat16` or `float16`.
        gradient_checkpointing: recompute activations in the backward pass.

    Raises:
        UserError: the folder is missing, or holds something else; the dtype does not exist.
    """
    model = load_whole(AutoModelForCausalLM, path, dtype=torch_dtype(dtype))
    policy = policy_of(without_dropout(model), load_tokenizer(path))  # pyright: ignore[reportArgumentType]
    if gradient_checkpointing:
        policy.model.gradient_checkpointing_enable()
        policy.model.train()  # in evaluation mode nothing is recomputed; there is no dropout that it would bring back
    return policy


def policy_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> CausalPolicy:
    """A policy of a model and a tokenizer in memory; ends of a response are read from both their configurations.

    Raises:
        UserError: neither of them names a token that ends a response.
    """
    eos_ids = end_tokens(model, tokenizer)
    if not eos_ids:
        raise UserError(f"{model.config.name_or_path}: no eos_token_id, so that a response could never end")
    pad_id = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else min(eos_ids)
    return CausalPolicy(model, tokenizer, eos_ids, pad_id, context_length(model.config, tokenizer))


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends a response: a checkpoint may name several in its generation configuration."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    named = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*named, tokenizer.eos_token_id) if isinstance(i, int))
