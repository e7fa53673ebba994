"""Shell completion: Hydra's, which knows groups, choices and keys, for each of the verbs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import hydra
from omegaconf import DictConfig

from cgpo.cli.main import NAMES, find
from cgpo.cli.verb import Verb
from cgpo.config import config_folder


def complete(arguments: Sequence[str]) -> None:
    """Prints the script that a shell is to read, or what a command line may go on with.

    Args:
        arguments: `-sc install=bash` and the like, or `-sc query=bash` with the command line in `COMP_LINE`.
    """
    line = os.environ.get("COMP_LINE", "")
    program, *typed = line.split() or ["cgpo"]
    if not any(argument.startswith("query=") for argument in arguments):
        _ask_hydra(find("train"), arguments)
    elif not typed or (len(typed) == 1 and not line.endswith(" ")):
        print(" ".join(name for name in NAMES if not typed or name.startswith(typed[0])))
    elif typed[0] in NAMES:
        os.environ["COMP_LINE"] = f"{program} {' '.join(typed[1:])}{' ' if line.endswith(' ') else ''}"
        _ask_hydra(find(typed[0]), arguments)


def _ask_hydra(verb: Verb, arguments: Sequence[str]) -> None:
    sys.argv = ["cgpo", *arguments]
    hydra.main(version_base=None, config_path=str(config_folder()), config_name=verb.root)(_nothing)()


def _nothing(config: DictConfig) -> None:
    """What is never run."""
