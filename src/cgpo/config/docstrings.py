"""What a docstring in Google's style says of each argument."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

SECTION = re.compile(r"^(?P<title>Args|Arguments|Attributes|Parameters):\s*$")
ENTRY = re.compile(r"^(?P<name>\*{0,2}\w+)(?:\s*\([^)]*\))?:\s*(?P<text>.*)$")


def summary_of(docstring: str) -> str:
    """The first paragraph, in one line; a heading alone where the docstring begins with one."""
    paragraph, _, _ = inspect.cleandoc(docstring).partition("\n\n")
    return " ".join(paragraph.split())


def arguments_of(docstring: str) -> dict[str, str]:
    """What is said under `Args:` and `Attributes:`, by name, each in one line."""
    said: dict[str, str] = {}
    for block in _sections(inspect.cleandoc(docstring)):
        name = ""
        indent = next((len(line) - len(line.lstrip()) for line in block if line.strip()), 0)
        for line in block:
            entry = ENTRY.match(line.strip()) if len(line) - len(line.lstrip()) == indent else None
            if entry is not None:
                name = entry["name"].lstrip("*")
                said[name] = entry["text"].strip()
            elif name and line.strip():
                said[name] = f"{said[name]} {line.strip()}".strip()
    return said


def _sections(text: str) -> Iterator[list[str]]:
    """The lines of each section, up to the next line that is not indented."""
    block: list[str] | None = None
    for line in text.splitlines():
        if SECTION.match(line):
            if block is not None:
                yield block
            block = []
        elif block is not None and line.strip() and not line.startswith(" "):
            yield block
            block = None
        elif block is not None:
            block.append(line)
    if block is not None:
        yield block
