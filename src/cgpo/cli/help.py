"""Help pages: what a verb does, examples, the groups with their choices, and, on demand, every key."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from cgpo.cli.verb import Verb, own_folder
from cgpo.config import Group, KeyDescription, describe, groups

WIDTH = 80
ALL = "--all"
SEVERAL = ("judges", "tasks", "data", "benchmarks")
"""Groups of which several choices may be taken."""


def show_help(verb: Verb, arguments: Sequence[str]) -> None:
    """Prints the help page of a verb.

    Args:
        verb: what is explained.
        arguments: of the command line. With `--all` the page lists every key; overrides say with which choices, and
            bare words which keys: `cgpo train --help --all optim callbacks`.
    """
    words = [argument for argument in arguments if not argument.startswith("-") and "=" not in argument]
    lines = _keys(verb, arguments, words) if ALL in arguments else _page(verb, arguments)
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # whoever reads it has seen enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _page(verb: Verb, arguments: Sequence[str]) -> Iterator[str]:
    offered = list(_groups(verb, own_folder(arguments)))
    choice = " [group=choice]" if offered else ""
    positional = f" {verb.positional.upper()[:-1]} …" if verb.positional else ""
    yield f"cgpo {verb.name}{positional}{choice} [key=value] …"
    yield ""
    yield from wrap(verb.about, WIDTH, break_on_hyphens=False)
    yield from ("", "Examples", "")
    for line, what in verb.examples:
        yield f"  cgpo {line}"
        yield f"      {what}"
    if offered:
        yield from ("", "Groups, each with its default and its choices", "")
        for group in offered:
            yield from _group(group)
        yield ""
        several = [group.name for group in offered if group.name in SEVERAL]
        if several:
            yield from wrap(
                f"Of {', '.join(several)} several may be chosen, {several[0]}=[a,b]. Files of one's own, "
                f"DIR/GROUP/CHOICE.yaml, are offered, too, with --config-dir DIR.",
                WIDTH,
            )
    yield from ("", "More", "")
    further = [
        (f"cgpo {verb.name} --help --all", "every key: its type, default and meaning"),
        (f"cgpo {verb.name} --help --all KEY", "those that begin with KEY alone"),
        (f"cgpo {verb.name} … --cfg job", "what a configuration comes to"),
        *([(f"cgpo {verb.name} -m key=a,b", "a sweep: a run for each value")] if verb.sweeps else []),
    ]
    width = max(len(line) for line, _ in further)
    yield from (f"  {line:<{width}}  {what}" for line, what in further)


def _groups(verb: Verb, own: Path | None) -> Iterator[Group]:
    """The groups of a verb, with the choices of one's own folder."""
    for group in groups(verb.name):
        found = sorted(file.stem for file in (own / group.name).glob("*.yaml")) if own is not None else []
        yield Group(group.name, {**group.choices, **dict.fromkeys(found, "")}, group.chosen, group.sentence)


def _group(group: Group) -> Iterator[str]:
    chosen = group.chosen[0] if len(group.chosen) == 1 else f"[{','.join(group.chosen)}]" if group.chosen else "…"
    yield f"  {group.name}={chosen}"
    if group.sentence:
        yield from _indented(group.sentence)
    yield from _indented(", ".join(group.choices))


def _keys(verb: Verb, arguments: Sequence[str], words: Sequence[str]) -> Iterator[str]:
    own = own_folder(arguments)
    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    found = describe(verb.name, overrides, [] if own is None else [own])
    shown = [key for key in found if not words or any(f"{key.key}.".startswith(f"{word}.") for word in words)]
    for key in shown:
        yield from _key(key)
    if not shown:
        yield f"cgpo {verb.name} has no key that begins with {' or '.join(words)}"


def _key(key: KeyDescription) -> Iterator[str]:
    yield f"{key.key} (to be given)" if key.default is None else f"{key.key}: {key.default}"
    yield from _indented(key.sentence)
    if key.type:
        yield from _indented(f"({key.type}{f', in {key.unit}' if key.unit else ''})")


def _indented(text: str) -> Iterable[str]:
    return wrap(text, WIDTH, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)
