"""From a template and a sample to the tokens that a judge model reads, the same when it is trained and when it judges.

A template is a text with the fields `{prompt}`, `{response}` and `{ground_truth}`. What stands in the fields is a
stranger's text: it is inserted as it is, in one pass (a field's name inside a response stays text), and its special
tokens are read as plain characters. Only the template's own text and the tokenizer's chat template yield special
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from cgpo.errors import UserError
from cgpo.types import Sample

_FIELD = re.compile(r"\{(prompt|response|ground_truth)\}")
_CONTENT = "\N{OBJECT REPLACEMENT CHARACTER}content\N{OBJECT REPLACEMENT CHARACTER}"
_ELLIPSIS = " … "


def load_template(name_or_path: str) -> str:
    """The text of a template: the name of one that comes with the package, or the path of a `.txt` file.

    Raises:
        UserError: there is no such template, or it has no `{response}` field.
    """
    shipped = files("cgpo.judges") / "templates" / f"{name_or_path}.txt"
    path = Path(name_or_path)
    if path.suffix == ".txt":
        if not path.is_file():
            raise UserError(f"judge template {name_or_path}: no such file")
        text = path.read_text(encoding="utf-8")
    elif shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    else:
        names = sorted(t.name.removesuffix(".txt") for t in (files("cgpo.judges") / "templates").iterdir())
        raise UserError(f"judge template {name_or_path!r}: give one of {', '.join(names)} or the path of a .txt file")
    if "{response}" not in text:
        raise UserError(f"judge template {name_or_path}: the field {{response}} is missing")
    return text.rstrip("\n")


def render(
    template: str, sample: Sample, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> list[int]:
    """The tokens that a judge model reads before it answers.

    With a chat template the filled template is the user's turn and the answer opens the assistant's; without one it
    stands as it is, after the tokenizer's begin-of-sequence token where it uses one.

    A rendering longer than `max_length` is made to fit by shortening the longest fields: of each the beginning and
    the end are kept, in equal parts, around an ellipsis. The template's own text is never cut.

    Args:
        template: the template's text, as `load_template` returns it.
        sample: the prompt (its last turn and its metadata's `ground_truth`) and the response.
        tokenizer: the judge model's.
        max_length: the most tokens, `None` for no limit.

    Raises:
        UserError: the template alone is longer than `max_length`, or asks for a `ground_truth` that the row lacks.
    """
    fields = _fields(template, sample)
    ids = _encode(template, fields, tokenizer)
    if max_length is None or len(ids) <= max_length:
        return ids
    bare = len(_encode(template, dict.fromkeys(fields, ""), tokenizer))
    encoded = {name: _plain(text, tokenizer) for name, text in fields.items()}
    limit = _equal_share([len(tokens) for tokens in encoded.values()], max_length - bare)
    while limit >= 0:
        short = {name: _shortened(fields[name], encoded[name], limit, tokenizer) for name in fields}
        ids = _encode(template, short, tokenizer)
        if len(ids) <= max_length:
            return ids
        limit -= 1
    raise UserError(f"judge template {template[:40]!r}: its own text is {bare} tokens, the limit is {max_length}")


def answer_token(word: str, template: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The one token with which a judge model says `word` right after a rendering.

    Args:
        word: as it follows the rendering, with its leading space if there is one (`" yes"`).
        template: the template's text.
        tokenizer: the judge model's.

    Raises:
        UserError: the word is not one token there.
    """
    literals = [piece for piece in _FIELD.split(template) if piece]
    before = _around(tokenizer)[1] or literals[-1]
    runs = _runs(before, tokenizer)
    context = runs[-1] if isinstance(runs[-1], str) else ""
    start, whole = _plain(context, tokenizer), _plain(context + word, tokenizer)
    added = whole[len(start) :] if whole[: len(start)] == start else _plain(word, tokenizer)
    if len(added) != 1:
        pieces = tokenizer.convert_ids_to_tokens(added)
        raise UserError(
            f"answer {word!r} is {len(added)} tokens of this judge model ({pieces}): choose one-token answers"
        )
    return added[0]


def _fields(template: str, sample: Sample) -> dict[str, str]:
    names = set(_FIELD.findall(template))
    fields = {"prompt": sample.prompt.text, "response": sample.response}
    if "ground_truth" in names:
        truth = sample.prompt.metadata.get("ground_truth")
        if truth is None:
            raise UserError(f"row {sample.prompt.key}: the judge's template needs metadata 'ground_truth'")
        fields["ground_truth"] = " or ".join(map(str, truth)) if isinstance(truth, list | tuple) else str(truth)
    return {name: text for name, text in fields.items() if name in names}


def _encode(template: str, fields: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The template with its fields filled, inside the chat template, as tokens."""
    opening, closing = _around(tokenizer)
    runs: list[int | str] = [*_prefix(tokenizer), *_runs(opening, tokenizer)]
    for i, piece in enumerate(_FIELD.split(template)):
        runs += [fields[piece]] if i % 2 else _runs(piece, tokenizer)
    runs += _runs(closing, tokenizer)
    ids: list[int] = []
    text = ""
    for run in runs:
        if isinstance(run, str):
            text += run
            continue
        ids += [*_plain(text, tokenizer), run]
        text = ""
    return ids + _plain(text, tokenizer)


def _plain(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens of a text in which nothing counts as a special token."""
    if not text:
        return []
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    return [int(i) for i in ids]


def _runs(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int | str]:
    """A trusted text cut at its special tokens: their ids, and the plain text between them."""
    special = {str(token): i for i, token in tokenizer.added_tokens_decoder.items()}
    if not special or not text:
        return [text] if text else []
    cut = re.split("(" + "|".join(map(re.escape, sorted(special, key=len, reverse=True))) + ")", text)
    return [special.get(piece, piece) for piece in cut if piece]


def _prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before a text; a chat template writes it itself."""
    begin = tokenizer.convert_tokens_to_ids(str(tokenizer.bos_token)) if tokenizer.bos_token else None
    if tokenizer.chat_template or not isinstance(begin, int):
        return []
    return [begin] if tokenizer("")["input_ids"][:1] == [begin] else []


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """What the chat template writes before and after the user's text; nothing without one."""
    return _chat_frame(tokenizer) if tokenizer.chat_template else ("", "")


@lru_cache(maxsize=16)
def _chat_frame(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    turn = [{"role": "user", "content": _CONTENT}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    opening, found, closing = str(text).partition(_CONTENT)
    if not found:
        raise UserError(f"chat template of {tokenizer.name_or_path}: it does not show the user's text")
    return opening, closing


def _equal_share(lengths: list[int], budget: int) -> int:
    """The largest `limit` with `sum(min(length, limit)) <= budget`; -1 where there is none."""
    if budget < 0:
        return -1
    for done, length in enumerate(sorted(lengths)):
        share = budget // (len(lengths) - done)
        if length > share:
            return share
        budget -= length
    return max(lengths, default=0)


def _shortened(text: str, ids: list[int], limit: int, tokenizer: PreTrainedTokenizerBase) -> str:
    if len(ids) <= limit:
        return text
    kept = limit - len(_plain(_ELLIPSIS, tokenizer))
    if kept < 2:
        return str(tokenizer.decode(ids[:limit])) if limit else ""
    head, tail = kept - kept // 2, kept // 2
    return str(tokenizer.decode(ids[:head])) + _ELLIPSIS + str(tokenizer.decode(ids[-tail:]))
