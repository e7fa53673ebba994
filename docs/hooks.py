"""What the site makes of the code and of the files beside `docs/` while it is built (mkdocs calls these hooks)."""

from __future__ import annotations

import html
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

OUTSIDE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages whose text stands beside `docs/`."""
PICTURES = "results/reproduction"
"""Figures that the reproduction draws, shown on its page."""
KEYS = "reference/configuration.md"
COMMANDS = "reference/commands.md"
METRICS = "reference/metrics.md"


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that stand elsewhere or are made of the code, and the figures of the reproduction."""
    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, content=_moved(ROOT / source)))
    for picture in sorted((ROOT / PICTURES).glob("*.svg")):
        files.append(File.generated(config, f"{PICTURES}/{picture.name}", abs_src_path=str(picture)))
    files.append(File.generated(config, KEYS, content=keys_page()))
    files.append(File.generated(config, COMMANDS, content=commands_page()))
    files.append(File.generated(config, METRICS, content=metrics_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links that leave `docs/` to where their targets are on the site."""
    return markdown.replace(f"](../{PICTURES}/", f"]({_up(page.file.src_uri)}{PICTURES}/")


def keys_page() -> str:
    """Every configuration key, as the schema describes it."""
    from cgpo.config import reference_page

    return reference_page()


def metrics_page() -> str:
    """Every metric, as `cgpo.metrics` declares it."""
    from cgpo.metrics import reference_page

    return reference_page()


def commands_page() -> str:
    """Every command with its purpose, its examples and its options."""
    from cgpo.cli.main import GROUPS, find

    parts = [
        "# Command line",
        "`cgpo COMMAND [group=choice] [key=value] …`. All commands take the same kind of arguments; "
        "[On the command line](../guide/index.md#on-the-command-line) explains them, and "
        "[Configuration keys](configuration.md) lists the keys. `cgpo COMMAND --help` shows what is below, "
        "and `python -m cgpo.train …` is `cgpo train …`.",
        "\n".join(
            ["| command | |", "| --- | --- |", *(_row(find(name)) for names in GROUPS.values() for name in names)],
        ),
        'Completion in bash: `eval "$(cgpo -sc install=bash)"`.',
    ]
    for title, names in GROUPS.items():
        parts += [f"## {title}", *(_command(find(name)) for name in names)]
    return "\n\n".join(parts) + "\n"


def _row(verb: Any) -> str:
    return f"| [`cgpo {verb.name}`](#cgpo-{verb.name}) | {verb.summary} |"


def _command(verb: Any) -> str:
    lines = [f"### cgpo {verb.name}", "", f"{html.escape(verb.about.rstrip('.'))}.", ""]
    examples = [f"# {what}\n$ cgpo {line}" for line, what in verb.examples]
    lines += ["```console", "\n\n".join(examples), "```", ""]
    if verb.flags:
        lines += ["| option | short for |", "| --- | --- |"]
        lines += [f"| `{flag}` | `{override.format('VALUE')}` |" for flag, override in verb.flags.items()]
        lines += [""]
    if verb.sweeps:
        lines += ["With `-m` it runs once for every combination of several values."]
    return "\n".join(lines)


def _moved(source: Path) -> str:
    """A page of the repository's root, its links into `docs/` made relative to it."""
    return re.sub(r"\]\(docs/", "](", source.read_text(encoding="utf-8"))


def _up(page: str) -> str:
    depth = posixpath.dirname(page).count("/") + bool(posixpath.dirname(page))
    return "../" * depth


__all__ = ["commands_page", "keys_page", "metrics_page", "on_files", "on_page_markdown"]
