"""What a verb of the command line is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.distributed.rendezvous import supervised
from cgpo.progress import say

if TYPE_CHECKING:
    from omegaconf import DictConfig


LOADING = "loading"
"""What is shown while libraries, data and models are read."""


@dataclass(frozen=True)
class Call:
    """A verb as it was called.

    Attributes:
        config: what Hydra composed.
        line: the command line, as a person typed it.
    """

    config: DictConfig
    line: Sequence[str]

    def typed(self, *overrides: str) -> str:
        """The same command, to be copied into a shell.

        Args:
            *overrides: are added, or take the place of others of the same key.
        """
        keys = {override.partition("=")[0] for override in overrides}
        kept = [part for part in self.line if part.partition("=")[0] not in keys]
        return shlex.join([*kept, *overrides])

    def note(self, notes: Sequence[str]) -> None:
        """Says what a person should see before the command begins; of processes that a launcher started, it has."""
        if not supervised():
            for line in notes:
                say(line, important=True)


@dataclass(frozen=True)
class Verb:
    """A verb: what it does, how it is explained, and where its configuration starts.

    Attributes:
        name: as it is typed.
        summary: what it does, in one line of the list of verbs.
        about: the first paragraph of its help page.
        examples: command lines without `cgpo`, each with what it does.
        run: does it; imports what is dear to import only once it has read the configuration.
        root: the file of `conf/` that its configuration starts from.
        sweeps: whether it makes sense to run it with several values of a key (`-m`).
        positional: the key that arguments without `=` are values of.
        flags: arguments as other programs have them, such as `--output`, each with the override that it stands for;
            `{}` takes the argument's value.
    """

    name: str
    summary: str
    about: str
    examples: Sequence[tuple[str, str]]
    run: Callable[[Call], None]
    root: str
    sweeps: bool = False
    positional: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict[str, str])


def own_folder(arguments: Sequence[str]) -> Path | None:
    """The user's own folder, which `--config-dir` names; `None` where there is none."""
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, inline = flag.partition("=")
        if name in ("--config-dir", "-cd"):
            return Path(inline or value)
    return None
