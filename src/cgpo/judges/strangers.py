"""A stranger's text, made harmless before a judge's model reads it: visible, without markers, behind a fence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls, zero-width and bidirectional marks, tags, lone surrogates; the joiners that scripts and emoji need stay."""
_MARKER = re.compile(r"<(?=[^\s=>])|\[(?=\||/?[a-z]?[A-Z][A-Z_]{1,40}\])")
"""What opens a special token or a turn marker in some family: `<|…`, `<s>`, `</s>`, `<start_of_turn>`, `[INST]`, …"""


def visible(text: str) -> str:
    r"""The text with characters that a person would not see written out: `\u202e`."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_markers(text: str) -> str:
    """The text with a space inside all that a server's tokenizer could read as one of its special tokens.

    A server turns the whole message into tokens, and which markers it knows cannot be seen from here; so everything
    that looks like one is broken: an angle bracket or a capital word's square bracket no longer touches what follows.
    """
    return _MARKER.sub(lambda found: f"{found[0]} ", text)


def fence(fields: Mapping[str, str]) -> str:
    """A mark that none of the texts contains, nor could: it is derived from all of them."""
    seed = "\0".join(f"{name}\0{text}" for name, text in sorted(fields.items())).encode("utf-8", "replace")
    mark = hashlib.sha256(seed).hexdigest()[:12]
    while any(mark in text.casefold() for text in fields.values()):
        mark = hashlib.sha256(mark.encode()).hexdigest()[:12]
    return mark
