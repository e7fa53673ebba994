"""The classes that a configuration names: checked before they are made, and made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from cgpo.errors import choose
from cgpo.errors import UserError


def check_classes(where: str, config: Any) -> None:
    """Checks that every `_target_` can be imported and takes the arguments that it is given.

    Raises:
        UserError: naming the key and the arguments there are.
    """
    if isinstance(config, list):
        for index, value in enumerate(config):
            check_classes(f"{where}.{index}", value)
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        check_classes(f"{where}.{key}", value)
    if "_target_" not in config:
        return
    try:
        target = get_object(config["_target_"])
        signature = inspect.signature(target)
    except Exception as error:  # importing a user's module may raise anything
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{where}._target_ is {config['_target_']!r}: it cannot be imported: {first_line}") from error
    # A panel gets its judges, and a reward its model, when they are there.
    partial = config.get("_partial_") or where == "panel"
    check_arguments(where, target, config, signature.bind_partial if partial else signature.bind)


def check_arguments(where: str, target: Any, config: Mapping[str, Any], bind: Callable[..., Any]) -> None:
    """Checks that a function or class takes the arguments that it is given.

    Args:
        where: the key of the configuration.
        target: the function or class.
        config: its arguments; keys of Hydra's own begin with an underscore.
        bind: of the target's signature: `bind`, or `bind_partial` where more arguments follow.

    Raises:
        UserError: naming the key and the arguments there are.
    """
    arguments = {k: v for k, v in config.items() if not k.startswith("_")}
    parameters = inspect.signature(target).parameters
    if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        for unknown in arguments.keys() - parameters.keys():
            raise UserError(
                f"{where}.{unknown}: {target.__name__} takes no such argument; {choose(unknown, parameters)}"
            )
    try:
        bind(*config.get("_args_", ()), **arguments)
    except TypeError as error:
        raise UserError(f"{where}: {target.__name__}: {error}") from error


def try_to_make(where: str, config: Mapping[str, Any]) -> Any:
    """An object of a configuration without references.

    Raises:
        UserError: naming the key and what is wrong with its value.
    """
    prefix = f"{where}: " if where else ""
    try:
        return instantiate(config, _convert_="all")
    except UserError as error:
        raise UserError(f"{prefix}{error}") from error
    except (InstantiationException, TypeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        raise UserError(f"{prefix}{str(cause).splitlines()[0]}") from error


def make(config: Any) -> Any:
    """The object of a configuration without references; nested ones included."""
    return instantiate(config, _convert_="all")
