"""Running a command from Hydra's configuration; what the user did wrong is said in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cgpo.errors import UserError

CONFIG = "train"
MIXES = frozenset({"all", "rules", "llm", "none"})
"""Choices of the group `judges` that stand for several judges, or for none."""


def config_folder() -> Path:
    """`conf/`: inside the package when it was installed from a wheel, at the top of the repository otherwise."""
    packaged = Path(__file__).parents[1] / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "conf"


def run_command(task: Callable[[DictConfig], None]) -> None:
    """Composes the configuration from the command line and runs a task with it.

    A `UserError`, and whatever Hydra finds wrong with the configuration, ends the process with one line on stderr and
    exit status 1; anything else is a defect of this program and keeps its traceback.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"

    def guarded(config: DictConfig) -> None:
        with _exit_on_user_error():
            task(config)

    with _exit_on_user_error():
        hydra.main(version_base=None, config_path=str(config_folder()), config_name=CONFIG)(guarded)()


@contextmanager
def _exit_on_user_error() -> Iterator[None]:
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {one_line(error, sys.argv[1:])}")


def judge_choices(config: DictConfig) -> list[str]:
    """The names of all judges that the group `judges` offers, those of the user's own folders included."""
    options = GlobalHydra.instance().config_loader().get_group_options("judges")
    return [*map(str, config.judges), *(option for option in options if option not in MIXES)]


def one_line(error: BaseException, arguments: list[str]) -> str:
    """What is wrong, where, and what the valid choices are."""
    user_error = _cause(error, UserError)
    if user_error is not None:
        return _flat(user_error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _missing_choice(error)
    if isinstance(error, ConfigCompositionException) and (key := _unknown_key(str(error))):
        return _unknown(key, arguments)
    deepest = error.__cause__ if isinstance(error.__cause__, TypeError) else error
    return _flat(deepest)


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


def _flat(error: BaseException) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _missing_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    choices = sorted(error.options or [])
    return f"{group}={choice}: there is no such choice; choose {', '.join(choices)}{_guess(choice, choices)}"


def _unknown_key(message: str) -> str | None:
    first = message.splitlines()[0]
    return first.split("'")[1] if first.startswith("Could not override '") else None


def _unknown(key: str, arguments: list[str]) -> str:
    parent, _, name = key.rpartition(".")
    keys = _valid_keys(parent, [a for a in arguments if a.split("=")[0].lstrip("+~") != key and "=" in a])
    listed = f"; choose {', '.join(keys)}{_guess(name, keys)}" if keys else ""
    return f"{key}: there is no such key{f' under {parent}' if parent else ''}{listed}"


def _valid_keys(parent: str, overrides: list[str]) -> list[str]:
    """The keys that stand where the unknown one was looked for; none where that cannot be composed either."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), version_base=None):
            config = compose(CONFIG, overrides=[o for o in overrides if not o.startswith(("-", "hydra"))])
    except (HydraException, OmegaConfBaseException):
        return []
    node: Any = OmegaConf.select(config, parent) if parent else config
    return sorted(str(k) for k in node) if isinstance(node, DictConfig) else []


def _guess(name: str, choices: list[str]) -> str:
    close = get_close_matches(name, choices, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
