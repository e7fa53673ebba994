"""Hydra composes a verb's configuration from the command line and runs it, once or as a sweep."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cgpo.cli.errors import WRONG_INPUT, one_line
from cgpo.cli.interrupt import ENDED_BY, stoppable
from cgpo.cli.verb import Call, Verb
from cgpo.config import config_folder, read_config
from cgpo.distributed.rendezvous import find_rendezvous
from cgpo.errors import UserError
from cgpo.progress import Screen, SilentScreen, shown_on
from cgpo.runs.folder import NeverOverwrite
from cgpo.runs.launcher import end_with_launcher
from cgpo.runs.sweep import record_failure
from cgpo.terminal import Terminal


def compose_and_run(verb: Verb, arguments: Sequence[str], line: Sequence[str]) -> None:
    """Composes the configuration of a verb and runs it.

    A `UserError`, and whatever Hydra finds wrong with the configuration, ends the process with one line on stderr and
    exit status 1; anything else is a defect of this program and keeps its traceback. A run of a sweep that fails ends
    alone: the other runs go on.

    Args:
        verb: what is to be done.
        arguments: overrides, and Hydra's own flags.
        line: what a person typed.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions get through to us, who say them in one line
    end_with_launcher()
    arguments = _translated(verb, arguments)

    @wraps(verb.run)
    def run(config: DictConfig) -> None:
        call = Call(config, line)
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            _run_of_sweep(verb, call, arguments)
            return
        with _one_line_errors(verb, arguments):
            verb.run(call)

    with shown_on(_screen()), stoppable(), _one_line_errors(verb, arguments):
        _check(verb, arguments)
        before = NeverOverwrite.check
        NeverOverwrite.check = staticmethod(partial(_check_config, verb, arguments))
        try:
            sys.argv = [sys.argv[0], *arguments]
            hydra.main(version_base=None, config_path=str(config_folder()), config_name=verb.root)(run)()
        finally:
            NeverOverwrite.check = before


def _screen() -> Screen:
    """The terminal; of several processes the first alone speaks."""
    found = find_rendezvous()
    return Terminal() if found is None or found.rank == 0 else SilentScreen()


def _run_of_sweep(verb: Verb, call: Call, arguments: Sequence[str]) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        verb.run(call)
    except WRONG_INPUT as error:
        record_failure(folder, one_line(error, verb, arguments))
    except SystemExit as error:
        if error.code in ENDED_BY:
            raise  # the whole sweep was told to end
        if error.code:
            record_failure(folder, f"one of its processes failed, with status {error.code}; it said why on the screen")
    except Exception:
        record_failure(folder, traceback.format_exc())


@contextmanager
def _one_line_errors(verb: Verb, arguments: Sequence[str]) -> Generator[None]:
    try:
        yield
    except WRONG_INPUT as error:
        sys.exit(f"error: {one_line(error, verb, arguments)}")


def _translated(verb: Verb, arguments: Sequence[str]) -> list[str]:
    """Overrides instead of a verb's flags and positional arguments; Hydra's flags first, for it wants them so."""
    flags: list[str] = []
    overrides: list[str] = []
    positional: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        flag, _, value = argument.partition("=")
        if flag in verb.flags:
            override = verb.flags[flag]
            given = (value or next(waiting, "")) if "{}" in override else ""
            overrides.append(override.format(given if given.isdecimal() else _quoted(given)))
        elif flag in TAKES_A_VALUE and not value:
            flags += [argument, next(waiting, "")]
        elif argument.startswith("-"):
            flags.append(argument)
        elif verb.positional and "=" not in argument:
            positional.append(argument)
        else:
            overrides.append(argument)
    if positional:
        overrides.append(f"{verb.positional}=[{','.join(map(_quoted, positional))}]")
    return [*flags, *overrides]


TAKES_A_VALUE = frozenset(
    {"--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c", "--package", "-p"}
    | {"--info", "-i", "--experimental-rerun"}
)
"""Hydra's flags whose value may stand behind them."""


def _quoted(text: str) -> str:
    """Any text as a value of Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _check(verb: Verb, arguments: Sequence[str]) -> None:
    """Says in one line what Hydra would say in many, or not at all."""
    parser = get_args_parser()
    parser.error = _refuse
    parser.parse_args(arguments)
    for argument in arguments:
        if argument in ("-m", "--multirun") and not verb.sweeps:
            raise UserError(f"{argument}: cgpo {verb.name} has no sweeps; call it once for each value")
        if argument.lstrip("+~").startswith("="):
            raise UserError(f"{argument}: this override has no key; write key=value")


def _check_config(verb: Verb, arguments: Sequence[str], config: DictConfig) -> None:
    """Reads the configuration before there is a folder: what cannot be read leaves nothing behind."""
    known = HydraConfig.instance()
    known.set_config(config.copy())  # which makes it read-only
    try:
        composed = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with _one_line_errors(verb, arguments):
            read_config(composed, verb.name, Path(config.hydra.run.dir))
    finally:
        known.cfg = None


def _refuse(message: str) -> NoReturn:
    raise UserError(message)
