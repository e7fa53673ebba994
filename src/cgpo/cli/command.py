"""Running a command from Hydra's configuration; what the user did wrong is said in one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cgpo.errors import UserError, choose
from cgpo.runs.launcher import tie_to_supervisor
from cgpo.runs.sweep import record_failure
from cgpo.training.preemption import STATUS

WRONG_INPUT = (UserError, HydraException, OmegaConfBaseException)
"""What the user can mend."""


def config_folder() -> Path:
    """`conf/`: inside the package when it was installed from a wheel, at the top of the repository otherwise."""
    packaged = Path(__file__).parents[1] / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "conf"


def run_command(task: Callable[[DictConfig], None], root: str = "train", sweeps: bool = True) -> None:
    """Composes the configuration from the command line and runs a task with it.

    A `UserError`, and whatever Hydra finds wrong with the configuration, ends the process with one line on stderr and
    exit status 1; anything else is a defect of this program and keeps its traceback. A run of a sweep that fails ends
    alone: the other runs go on.

    Args:
        task: is given the configuration.
        root: the file of `conf/` that the command starts from.
        sweeps: whether it makes sense to run the command with several values of a key.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"
    tie_to_supervisor()

    def guarded(config: DictConfig) -> None:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            _attempt(task, config, root)
            return
        with _exit_on_user_error(root):
            task(config)

    with _exit_on_user_error(root):
        for argument in sys.argv[1:]:
            if argument in ("-m", "--multirun") and not sweeps:
                raise UserError(f"{argument}: this command has no sweeps; call it once for each value")
            if argument.lstrip("+~").startswith("="):
                raise UserError(f"{argument}: this override has no key; write key=value")
        hydra.main(version_base=None, config_path=str(config_folder()), config_name=root)(guarded)()


def _attempt(task: Callable[[DictConfig], None], config: DictConfig, root: str) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        task(config)
    except WRONG_INPUT as error:
        record_failure(folder, one_line(error, sys.argv[1:], root))
    except SystemExit as error:
        if error.code == STATUS:
            raise  # the whole sweep was told to end
        if error.code:
            record_failure(folder, f"one of its processes failed, with status {error.code}; it said why on the screen")
    except Exception:
        record_failure(folder, traceback.format_exc())


@contextmanager
def _exit_on_user_error(root: str) -> Iterator[None]:
    try:
        yield
    except WRONG_INPUT as error:
        sys.exit(f"error: {one_line(error, sys.argv[1:], root)}")


def one_line(error: BaseException, arguments: list[str], root: str) -> str:
    """What is wrong, where, and what the valid choices are under the command's root configuration."""
    user_error = _cause(error, UserError)
    if user_error is not None:
        return _flat(user_error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_choice(error, arguments, root)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: this override cannot be read: {str(error).splitlines()[0]}"
    if isinstance(error, ConfigCompositionException) and (key := _unknown_key(str(error))):
        return _unknown(key, arguments, root)
    deepest = error.__cause__ if isinstance(error.__cause__, TypeError) else error
    return _flat(deepest)


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


def _flat(error: BaseException) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _missing_choice(error: MissingConfigException, arguments: list[str], root: str) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    choices = error.options or _group_options(group, arguments, root)
    return f"{group}={choice}: there is no such choice; {choose(choice, choices)}"


def _unknown_key(message: str) -> str | None:
    first = message.splitlines()[0]
    return first.split("'")[1] if first.startswith("Could not override '") else None


def _unknown(key: str, arguments: list[str], root: str) -> str:
    parent, _, name = key.rpartition(".")
    config = _composed([a for a in arguments if "=" in a and not _touches(a, key)], arguments, root)
    node = OmegaConf.select(config, parent) if parent and config is not None else config
    if parent and config is not None and node is None:
        return _unknown(parent, arguments, root)
    where = f"{key}: there is no such key{f' under {parent}' if parent else ''}"
    if not isinstance(node, DictConfig):
        return where
    return f"{where}; {choose(name, map(str, node))}" if node else f"{where}; to add one, write +{key}=…"


def _touches(override: str, key: str) -> bool:
    return f"{override.split('=')[0].lstrip('+~')}.".startswith(f"{key}.")


def _composed(overrides: list[str], arguments: list[str], root: str) -> DictConfig | None:
    """The configuration without the override that does not fit; `None` where that cannot be composed either."""
    own = [o for o in overrides if not o.startswith(("-", "hydra"))]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), version_base=None):
            return compose(root, overrides=[*own, *_search_path(arguments)])
    except (HydraException, OmegaConfBaseException):
        return None


def _group_options(group: str, arguments: list[str], root: str) -> list[str]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, config_name=root, overrides=_search_path(arguments))


def _search_path(arguments: list[str]) -> list[str]:
    """The user's own folder, given by `--config-dir`, as an override."""
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, inline = flag.partition("=")
        if name in ("--config-dir", "-cd"):
            return [f"hydra.searchpath=[file://{Path(inline or value).absolute()}]"]
    return []
