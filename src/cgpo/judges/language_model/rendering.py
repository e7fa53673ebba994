"""Renders a template and a sample as the tokens that a judge model reads, the same in training and in judging.

A template is a text with the fields `{prompt}`, `{response}` and `{ground_truth}`. The contents of the fields are
untrusted: they are inserted in one pass (a field's name inside a response stays text), with hidden characters written
out, and their special tokens are read as plain characters. Only the template's own text and the tokenizer's chat
template yield special tokens. `{fence}` is a mark that no field contains; a template puts it around its fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import cast

from transformers import PreTrainedTokenizerBase

from cgpo.errors import UserError
from cgpo.judges.language_model.untrusted_text import (
    FIELD,
    LLAMA_GUARD,
    decode,
    encode,
    fence,
    pieces,
    plain,
    runs_of,
    visible,
    without_markers,
)
from cgpo.types import Sample

_ELLIPSIS = " … "


def load_template(name_or_path: str) -> str:
    """Reads the text of a template.

    Args:
        name_or_path: the name of a template of the package, or the path of a `.txt` file; `llama_guard` stands for the
            judge model's own chat template, which shows it the conversation and asks.

    Raises:
        UserError: there is no such template, or it has no `{response}` field.
    """
    shipped = files("cgpo.judges.language_model") / "templates" / f"{name_or_path}.txt"
    path = Path(name_or_path)
    if name_or_path == "llama_guard":
        return LLAMA_GUARD
    if path.suffix == ".txt":
        if not path.is_file():
            raise UserError(f"judge template {name_or_path}: no such file")
        text = path.read_text(encoding="utf-8")
    elif shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    else:
        names = sorted(
            t.name.removesuffix(".txt") for t in (files("cgpo.judges.language_model") / "templates").iterdir()
        )
        known = ", ".join(["llama_guard", *names])
        raise UserError(f"judge template {name_or_path!r}: give one of {known} or the path of a .txt file")
    if "{response}" not in text:
        raise UserError(f"judge template {name_or_path}: the field {{response}} is missing")
    return text.rstrip("\n")


def render(
    template: str, sample: Sample, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> list[int]:
    """Renders the tokens that a judge model reads before it answers.

    With a chat template the filled template is the user's turn and the answer begins the assistant's. Without one it
    is used as it is, after the tokenizer's begin-of-sequence token if it uses one.

    A rendering longer than `max_length` is made to fit by shortening the longest fields: the beginning and the end of
    each are kept, in equal parts, around an ellipsis. The template's own text is never cut.

    Args:
        template: the template's text, as `load_template` returns it.
        sample: the prompt (its last turn and its metadata's `ground_truth`) and the response.
        tokenizer: the judge model's tokenizer.
        max_length: the most tokens, `None` for no limit.

    Raises:
        UserError: the template alone is longer than `max_length`, or asks for a `ground_truth` that the row lacks.
    """
    fields = _fields(template, sample)
    template = template.replace("{fence}", fence(fields))
    ids = encode(template, fields, tokenizer)
    if max_length is None or len(ids) <= max_length:
        return ids
    bare = len(encode(template, dict.fromkeys(fields, ""), tokenizer))
    encoded = {name: plain(text, tokenizer) for name, text in fields.items()}
    limit = _equal_share([len(tokens) for tokens in encoded.values()], max_length - bare)
    while limit >= 0:
        short = {name: _shortened(fields[name], encoded[name], limit, tokenizer) for name in fields}
        ids = encode(template, short, tokenizer)
        if len(ids) <= max_length:
            return ids
        limit -= 1
    raise UserError(f"judge template {template[:40]!r}: its own text is {bare} tokens, the limit is {max_length}")


def render_message(template: str, sample: Sample, max_characters: int) -> str:
    """Renders a message to a server, whose tokenizer and special tokens are not known.

    Args:
        template: the template's text.
        sample: the prompt and the response.
        max_characters: the most characters; a longer message is shortened as `render` shortens.

    Raises:
        UserError: the template alone is longer, or asks for a `ground_truth` that the row lacks.
    """
    fields = {name: without_markers(text) for name, text in _fields(template, sample).items()}
    template = template.replace("{fence}", fence(fields))
    own = len(FIELD.sub("", template))
    limit = _equal_share([len(text) for text in fields.values()], max_characters - own)
    if limit < 0:
        raise UserError(f"judge template {template[:40]!r}: its own text is {own} characters of {max_characters}")
    short = {name: _shortened_text(text, limit) for name, text in fields.items()}
    return FIELD.sub(lambda field: short[field[1]], template)


def needs_ground_truth(template: str) -> bool:
    """Returns whether the template has the field `{ground_truth}`."""
    return "ground_truth" in FIELD.findall(template)


def answer_token(word: str, template: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """Returns the one token with which a judge model says `word` right after a rendering.

    Args:
        word: the word as it follows the rendering, with its leading space if there is one (`" yes"`).
        template: the template's text.
        tokenizer: the judge model's tokenizer.

    Raises:
        UserError: the word is not one token there.
    """
    literals = [piece for piece in pieces(template, tokenizer)[::2] if piece]
    runs = runs_of(literals[-1], tokenizer)
    context = runs[-1] if isinstance(runs[-1], str) else ""
    start, whole = plain(context, tokenizer), plain(context + word, tokenizer)
    added = whole[len(start) :] if whole[: len(start)] == start else plain(word, tokenizer)
    if len(added) != 1:
        shown = tokenizer.convert_ids_to_tokens(added)
        raise UserError(
            f"answer {word!r} is {len(added)} tokens of this judge model ({shown}): choose one-token answers"
        )
    return added[0]


def _fields(template: str, sample: Sample) -> dict[str, str]:
    names = set(FIELD.findall(template))
    fields = {"prompt": sample.prompt.text, "response": sample.response}
    if needs_ground_truth(template):
        truth = sample.prompt.metadata.get("ground_truth")
        if truth is None:
            raise UserError(f"row {sample.prompt.key}: the judge's template needs metadata 'ground_truth'")
        several = cast("Sequence[object]", truth) if isinstance(truth, list | tuple) else [truth]
        fields["ground_truth"] = " or ".join(map(str, several))
    return {name: visible(text) for name, text in fields.items() if name in names}


def _equal_share(lengths: list[int], budget: int) -> int:
    """Returns the largest `limit` with `sum(min(length, limit)) <= budget`, or -1 if there is none."""
    if budget < 0:
        return -1
    for done, length in enumerate(sorted(lengths)):
        share = budget // (len(lengths) - done)
        if length > share:
            return share
        budget -= length
    return max(lengths, default=0)


def _shortened_text(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = max(limit - len(_ELLIPSIS), 0)
    return text[: kept - kept // 2] + _ELLIPSIS[:limit] + text[len(text) - kept // 2 :]


def _shortened(text: str, ids: list[int], limit: int, tokenizer: PreTrainedTokenizerBase) -> str:
    if len(ids) <= limit:
        return text
    kept = limit - len(plain(_ELLIPSIS, tokenizer))
    if kept < 2:
        return decode(tokenizer, ids[:limit]) if limit else ""
    head, tail = kept - kept // 2, kept // 2
    return decode(tokenizer, ids[:head]) + _ELLIPSIS + decode(tokenizer, ids[-tail:])
