"""Takes a page of the documentation apart: its code, its files, its command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`((?:my_conf|conf)/\S+?\.yaml)`")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the word after the fence.
        text: what it holds, without the page's indentation.
        file: the last YAML file that the page names before it.
    """

    language: str
    text: str
    file: str | None


def name(page: Path) -> str:
    """The page as a person calls it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """A page's fenced blocks in these languages, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        if match["language"] in languages:
            named = FILE.findall(text[: match.start()])
            lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True)]
            found.append(Block(match["language"], "".join(lines), named[-1] if named else None))
    return found


def command_lines(page: Path) -> Iterator[list[str]]:
    """The calls of cgpo in a page's console blocks and indented lines, each as the shell would split it."""
    for line in _shell_lines(page):
        words = shlex.split(line, comments=True)
        if words[:1] == ["cgpo"]:
            yield words[1:]
        elif words[:3] == ["python", "-m", "cgpo.train"]:
            yield ["train", *words[3:]]
        elif "cgpo.train" in words and words[0] == "torchrun":
            yield ["train", *words[words.index("cgpo.train") + 1 :]]


def _shell_lines(page: Path) -> Iterator[str]:
    for block in blocks(page, "console"):
        joined = block.text.replace("\\\n", " ")
        yield from (line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ "))
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    yield from (line.strip() for line in text.splitlines() if re.match(r"    (cgpo|python -m cgpo\.train) ", line))


def first_of_sweep(overrides: Sequence[str]) -> list[str]:
    """The overrides of the first run of a sweep."""
    return [
        override if any(sign in override for sign in "[{") else override.split(",")[0]
        for override in overrides
        if override not in ("-m", "--multirun")
    ]
