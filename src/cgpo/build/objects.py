"""The objects of a configuration's components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from cgpo.config import Component, Value, artifacts, plain
from cgpo.errors import UserError


def make(value: Value) -> Any:
    """A value in which every component is the object that it stands for, inner ones made first.

    Raises:
        UserError: a class refuses its arguments; the message names the key.
    """
    if isinstance(value, Component):
        return make_with(value)
    if isinstance(value, Mapping):
        return {key: make(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [make(item) for item in value]
    return value


def make_with(component: Component, **later: object) -> Any:
    """The object of a component that is given further arguments, which no configuration could name.

    Args:
        component: the class and its arguments.
        **later: objects that are there by now.

    Raises:
        UserError: the class refuses its arguments; the message names the key.
    """
    inner: Callable[[Value], object] = make if component.nested else plain
    arguments = {name: inner(argument) for name, argument in component.arguments.items()}
    positional = [inner(argument) for argument in component.positional]
    if component.partial:
        return partial(target_of(component.target), *positional, **arguments)
    return _called(component, positional, {**arguments, **later})


def _called(component: Component, positional: Sequence[object], arguments: Mapping[str, object]) -> Any:
    try:
        return target_of(component.target)(*positional, **arguments)
    except UserError as error:
        raise UserError(_located(component.where, str(error))) from error
    except (TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{component.where}: {reason}") from error


def _located(where: str, message: str) -> str:
    """A message with its key, unless it names the key already."""
    return message if not where or message.startswith((where, where.split(".")[0] + ".")) else f"{where}: {message}"


def target_of(path: str) -> Callable[..., Any]:
    """The class or function of a dotted path.

    Raises:
        ImportError, AttributeError: there is none.
    """
    parts = path.split(".")
    found: Any = import_module(parts[0])
    for place, part in enumerate(parts[1:], start=1):
        if not hasattr(found, part):
            import_module(".".join(parts[: place + 1]))
        found = getattr(found, part)
    return found


def without_artifacts(value: Value) -> Iterator[Component]:
    """The largest components in a value that can be made before any result of the pipeline is."""
    if isinstance(value, Component):
        if not artifacts(value):
            yield value
            return
        value = [*value.positional, *value.arguments.values()]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from without_artifacts(item)
