"""Makes tokens of a filled template, with special tokens only from the template or the tokenizer's chat template."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import cast

from transformers import PreTrainedTokenizerBase

from cgpo.errors import UserError

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls, zero-width and bidirectional marks, tags, lone surrogates, but not the joiners of scripts and emoji."""
_MARKER = re.compile(r"<(?=[^\s=>])|\[(?=\||/?[a-z]?[A-Z][A-Z_]{1,40}\])")
"""The beginnings of special tokens and turn markers: `<|…`, `<s>`, `</s>`, `<start_of_turn>`, `[INST]`, …"""


def visible(text: str) -> str:
    r"""Writes out the characters that a person would not see: `\u202e`."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_markers(text: str) -> str:
    """Puts a space inside everything that a server's tokenizer could read as one of its special tokens.

    A server turns the whole message into tokens, and nobody knows here which markers it has. So everything that looks
    like one is broken: an angle bracket or a capital word's square bracket no longer touches what follows.
    """
    return _MARKER.sub(lambda found: f"{found[0]} ", text)


def fence(fields: Mapping[str, str]) -> str:
    """Returns a mark that none of the texts contains, nor could, since it is derived from all of them."""
    seed = "\0".join(f"{name}\0{text}" for name, text in sorted(fields.items())).encode("utf-8", "replace")
    mark = hashlib.sha256(seed).hexdigest()[:12]
    while any(mark in text.casefold() for text in fields.values()):
        mark = hashlib.sha256(mark.encode()).hexdigest()[:12]
    return mark


FIELD = re.compile(r"\{(prompt|response|ground_truth)\}")
"""A field of a template, which is filled with untrusted text."""
LLAMA_GUARD = "<|llama guard|>{prompt}{response}"
"""The template that means the judge model's own chat template, which shows the conversation and asks."""
_CONTENT = "\N{OBJECT REPLACEMENT CHARACTER}content\N{OBJECT REPLACEMENT CHARACTER}"


def decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """Returns the text of some tokens."""
    text: object = tokenizer.decode(ids)  # pyright: ignore[reportUnknownMemberType]
    return str(text)


def encode(template: str, fields: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Makes tokens of the template with its fields filled, inside the chat template."""
    runs: list[int | str] = [*_prefix(tokenizer)]
    for i, piece in enumerate(pieces(template, tokenizer)):
        runs += [fields[piece]] if i % 2 else runs_of(piece, tokenizer)
    ids: list[int] = []
    text = ""
    for run in runs:
        if isinstance(run, str):
            text += run
            continue
        ids += [*plain(text, tokenizer), run]
        text = ""
    return ids + plain(text, tokenizer)


def pieces(template: str, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Splits the template in the chat template into trusted text and names of fields in turn, text first and last."""
    if template == LLAMA_GUARD:
        return FIELD.split(_guard_frame(tokenizer))
    opening, closing = around(tokenizer)
    first, *rest = FIELD.split(template)
    return [opening + first, *rest[:-1], rest[-1] + closing] if rest else [opening + first + closing]


def plain(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Makes tokens of a text in which nothing counts as a special token, nor as another marker of the vocabulary.

    What is still read as a marker is cut in half until it no longer is.
    """
    if not text:
        return []
    found = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    ids = [int(i) for i in found]
    if len(text) == 1 or not _markers(tokenizer) & set(ids):
        return ids
    middle = len(text) // 2
    return plain(text[:middle], tokenizer) + plain(text[middle:], tokenizer)


@lru_cache(maxsize=16)
def _markers(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Returns the added tokens of more than one visible character, special or not, except for the unknown token."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(i for i, token in added if len(str(token).strip()) > 1 and i != tokenizer.unk_token_id)


def runs_of(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int | str]:
    """Cuts a trusted text at its special tokens, into their ids and the plain text between them."""
    special = {str(token): i for i, token in tokenizer.added_tokens_decoder.items()}
    if not special or not text:
        return [text] if text else []
    cut = re.split("(" + "|".join(map(re.escape, sorted(special, key=len, reverse=True))) + ")", text)
    return [special.get(piece, piece) for piece in cut if piece]


def _prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Returns what the tokenizer puts before a text, unless a chat template does so."""
    begin = tokenizer.convert_tokens_to_ids(str(tokenizer.bos_token)) if tokenizer.bos_token else None
    if _has_chat_template(tokenizer) or not isinstance(begin, int):
        return []
    return [begin] if tokenizer("")["input_ids"][:1] == [begin] else []


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """Returns what the chat template writes before and after the user's text; nothing without one."""
    return _chat_frame(tokenizer) if _has_chat_template(tokenizer) else ("", "")


def _has_chat_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    return bool(cast("object", tokenizer.chat_template))  # pyright: ignore[reportUnknownMemberType]


def _chat_text(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], **options: bool) -> str:
    apply = cast("Callable[..., object]", tokenizer.apply_chat_template)  # pyright: ignore[reportUnknownMemberType]
    return str(apply(turns, tokenize=False, add_generation_prompt=True, **options))


def _name(tokenizer: PreTrainedTokenizerBase) -> str:
    return str(cast("object", tokenizer.name_or_path))  # pyright: ignore[reportUnknownMemberType]


@lru_cache(maxsize=16)
def _chat_frame(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    text = _chat_text(tokenizer, [{"role": "user", "content": _CONTENT}], enable_thinking=False)
    opening, found, closing = text.partition(_CONTENT)
    if not found:
        raise UserError(f"chat template of {_name(tokenizer)}: it does not show the user's text")
    return opening, closing


@lru_cache(maxsize=16)
def _guard_frame(tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns a guard's chat template around a prompt and its response, and the empty line before its answer."""
    if not _has_chat_template(tokenizer):
        raise UserError(f"{_name(tokenizer)}: template llama_guard needs a judge model with a chat template")
    turns = [{"role": "user", "content": "{prompt}"}, {"role": "assistant", "content": "{response}"}]
    text = _chat_text(tokenizer, turns)
    if FIELD.findall(text) != ["prompt", "response"]:
        raise UserError(f"chat template of {_name(tokenizer)}: it does not show the prompt and then the response")
    return text if text.endswith("\n") else f"{text}\n\n"
