"""Fenced code blocks of a response, read line by line as CommonMark does, in time linear in its length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)")
_SPACES = re.compile(r"[ \t]*")


@dataclass(frozen=True)
class Block:
    """A complete fenced block: its language tag in small letters (empty where it has none) and its code."""

    language: str
    code: str


def last_block(response: str, languages: Sequence[str] | None = None) -> str | None:
    """The code of the last complete fenced block, `None` where there is none.

    Args:
        response: the text.
        languages: the tags that count, in small letters; `""` is a block without one. `None` takes any.
    """
    codes = [block.code for block in blocks(response) if languages is None or block.language in languages]
    return codes[-1] if codes else None


def blocks(response: str) -> Iterator[Block]:
    """The complete blocks, in order.

    A block ends at a line of nothing but a fence of its own kind and at least its own length. The opening fence's
    indentation (a block in a list) is taken off every line.
    """
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in response.replace("\r\n", "\n").split("\n"):
        found = _FENCE.fullmatch(line)
        if opening is None:
            if found and not (found["fence"][0] == "`" and "`" in found["info"]):
                opening, lines = found, []
        elif found and not found["info"].strip() and found["fence"].startswith(opening["fence"]):
            words = opening["info"].split()
            yield Block(words[0].lower() if words else "", "".join(lines))
            opening = None
        else:
            spaces = _SPACES.match(line)
            indent = min(len(opening["indent"]), spaces.end() if spaces else 0)
            lines.append(line[indent:] + "\n")
