"""What is wrong with a command line, in one line: the key, what it must be, and the nearest right name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cgpo.cli.folders import config_folder, own_folder
from cgpo.errors import UserError, choose

WRONG_INPUT = (UserError, HydraException, OmegaConfBaseException)
"""What the user can mend; anything else is a defect of this program and keeps its traceback."""


def one_line(error: BaseException, arguments: Sequence[str], root: str) -> str:
    """What is wrong, where, and what the valid choices are.

    Args:
        error: one of `WRONG_INPUT`.
        arguments: of the command line.
        root: the file of `conf/` that the command's configuration starts from.
    """
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


def _missing_choice(error: MissingConfigException, arguments: Sequence[str], root: str) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"--config-name {choice}: there is no {choice}.yaml in {own_folder(arguments) or config_folder()}"
    choices = error.options or _group_options(group, arguments, root)
    return f"{group}={choice}: there is no such choice; {choose(choice, choices)}"


def _unknown_key(message: str) -> str | None:
    first = message.splitlines()[0]
    return first.split("'")[1] if first.startswith("Could not override '") else None


def _unknown(key: str, arguments: Sequence[str], root: str) -> str:
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


def _composed(overrides: Sequence[str], arguments: Sequence[str], root: str) -> DictConfig | None:
    """The configuration without the override that does not fit; `None` where that cannot be composed either."""
    own = [override for override in overrides if not override.startswith(("-", "hydra"))]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), version_base=None):
            return compose(root, overrides=[*own, *_search_path(arguments)])
    except (HydraException, OmegaConfBaseException):
        return None


def _group_options(group: str, arguments: Sequence[str], root: str) -> list[str]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, config_name=root, overrides=_search_path(arguments))


def _search_path(arguments: Sequence[str]) -> list[str]:
    folder = own_folder(arguments)
    return [] if folder is None else [f"hydra.searchpath=[file://{Path(folder).absolute()}]"]
