"""What is wrong with a command line, in one line: the key, what it must be, and the nearest right name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cgpo.cli.verb import Verb, own_folder
from cgpo.config import SCHEMAS, config_folder, renamed, unknown_key
from cgpo.errors import UserError, choose

WRONG_INPUT = (UserError, HydraException, OmegaConfBaseException)
"""What the user can mend; anything else is a defect of this program and keeps its traceback."""


def one_line(error: BaseException, verb: Verb, arguments: Sequence[str]) -> str:
    """What is wrong, where, and what the valid choices are.

    Args:
        error: one of `WRONG_INPUT`.
        verb: that was called.
        arguments: of the command line.
    """
    user_error = _cause(error, UserError)
    if user_error is not None:
        return _flat(user_error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_choice(error, arguments, verb.root)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: this override cannot be read: {str(error).splitlines()[0]}"
    if isinstance(error, ConfigCompositionException) and "'${experiment}/" in str(error):
        return "experiment: choose one; a file of your own, experiment/NAME.yaml, may have several among its defaults"
    if isinstance(error, ConfigCompositionException) and (key := _unknown_key(str(error))):
        return _unknown(key, verb, arguments)
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


def _unknown(key: str, verb: Verb, arguments: Sequence[str]) -> str:
    parent, _, name = key.rpartition(".")
    if not parent or renamed(key):
        return unknown_key(key, SCHEMAS[verb.name])
    config = _composed([a for a in arguments if "=" in a and not _touches(a, key)], arguments, verb.root)
    node = OmegaConf.select(config, parent) if parent and config is not None else config
    if parent and config is not None and node is None:
        return _unknown(parent, verb, arguments)
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
