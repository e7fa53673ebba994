"""Components: what a configuration names by `_target_`, a class or function with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from cgpo.bounds import complaint, fits
from cgpo.config.signatures import Signature, signature_of
from cgpo.config.sources import UnknownNameError
from cgpo.errors import UserError, choose

Plain: TypeAlias = "str | int | float | bool | Sequence[Plain] | Mapping[str, Plain] | None"
"""What a YAML file can hold."""
Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | Component | None"
"""The same with components in it."""
ARTIFACT = "artifact:"
"""What a text begins with that names a result of the pipeline."""
OWN = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")
"""Keys that say how an object is made, and are none of its arguments."""


@dataclass(frozen=True)
class Component:
    """A class or function of a dotted path, with the arguments that it is given.

    Attributes:
        target: the dotted path.
        arguments: by name; components among them are made first.
        where: the key of the configuration, for errors.
        positional: arguments by place.
        partial: whether further arguments follow later.
        nested: whether components among the arguments are made; otherwise they are passed on as mappings.
    """

    target: str
    arguments: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    where: str = field(default="", compare=False)
    positional: tuple[Value, ...] = ()
    partial: bool = False
    nested: bool = True

    @classmethod
    def in_words(cls) -> str:
        """What a component must be."""
        return "a class, _target_, and its arguments"

    @property
    def signature(self) -> Signature:
        """What the class or function takes.

        Raises:
            UserError: there is none of that path.
        """
        try:
            return signature_of(self.target)
        except Exception as error:  # importing a user's module may raise anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            close = error.close if isinstance(error, UnknownNameError) else ""
            guess = f" (did you mean {close}?)" if close else ""
            raise UserError(
                f"{self.where}._target_ is {self.target!r}: it cannot be imported: {reason}{guess}"
            ) from error

    def get(self, argument: str) -> Value:
        """An argument: as it is given, else the default of the class as far as its source says; else `None`."""
        if argument in self.arguments:
            return self.arguments[argument]
        parameter = self.signature.parameters.get(argument)
        default = None if parameter is None else parameter.default
        return default if isinstance(default, str | int | float | bool) else None

    def given(self, **arguments: Value) -> Component:
        """The same with further or other arguments."""
        return replace(self, arguments={**self.arguments, **arguments})


def components(where: str, value: Plain) -> Value:
    """A value in which every mapping with a `_target_` is a component."""
    if isinstance(value, Mapping):
        inner = {key: components(f"{where}.{key}" if where else key, item) for key, item in value.items()}
        target = value.get("_target_")
        if not isinstance(target, str):
            return inner
        positional = inner.get("_args_")
        return Component(
            target,
            {key: item for key, item in inner.items() if key not in OWN},
            where,
            tuple(positional) if isinstance(positional, list) else (),
            bool(value.get("_partial_")),
            value.get("_recursive_") is not False,
        )
    if isinstance(value, list | tuple):
        return [components(f"{where}.{place}", item) for place, item in enumerate(value)]
    return value


def plain(value: Value) -> Plain:
    """The same with every component as the mapping that it was."""
    if isinstance(value, Component):
        special: dict[str, Plain] = {"_target_": value.target}
        if value.positional:
            special["_args_"] = [plain(item) for item in value.positional]
        if value.partial:
            special["_partial_"] = True
        if not value.nested:
            special["_recursive_"] = False
        return special | {key: plain(item) for key, item in value.arguments.items()}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def mapped(value: Value, change: Callable[[str, Value], Value], name: str = "") -> Value:
    """A value whose leaves, the arguments of components included, are changed; `change` is told each one's own key."""
    if isinstance(value, Component):
        arguments = {key: mapped(item, change, key) for key, item in value.arguments.items()}
        return replace(value, arguments=arguments, positional=tuple(mapped(v, change) for v in value.positional))
    if isinstance(value, Mapping):
        return {key: mapped(item, change, key) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [mapped(item, change, name) for item in value]
    return change(name, value)


def leaves(value: Value) -> Iterator[Value]:
    """Every value that holds no others, in order."""
    if isinstance(value, Component):
        yield from leaves([*value.positional, *value.arguments.values()])
    elif isinstance(value, Mapping):
        yield from leaves(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def within(value: Value) -> Iterator[Component]:
    """Every component in a value, the inner ones before those that hold them."""
    if isinstance(value, Component):
        yield from within([*value.positional, *value.arguments.values()])
        yield value
    elif isinstance(value, Mapping):
        yield from within(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from within(item)


def artifacts(value: Value) -> list[str]:
    """The names of all results of the pipeline that a value refers to, in order."""
    texts = [leaf for leaf in leaves(value) if isinstance(leaf, str)]
    return [text.removeprefix(ARTIFACT) for text in texts if text.startswith(ARTIFACT)]


def check_components(value: Value, later: Sequence[str] = ()) -> None:
    """Checks each component in a value: that there is such a class, and that it takes its arguments and their values.

    Args:
        value: with components in it.
        later: arguments of the outermost component that it is given when it is made.

    Raises:
        UserError: naming the key, and what it must be.
    """
    for component in within(value):
        _check(component, later if component is value else ())


def _check(component: Component, later: Sequence[str]) -> None:
    signature = component.signature
    names = list(signature.parameters)
    for name in component.arguments:
        if name not in names and not signature.takes_more:
            choices = [known for known in names if known not in later]
            raise UserError(
                f"{component.where}.{name}: {signature.name} takes no such argument; {choose(name, choices)}"
            )
    by_place = set(names[: len(component.positional)])
    for name, parameter in signature.parameters.items():
        if name in component.arguments:
            value = component.arguments[name]
            if not isinstance(value, Component) and not fits(parameter.annotation, value):
                raise UserError(complaint(f"{component.where}.{name}", parameter.annotation, value))
        elif parameter.required and not component.partial and name not in (*later, *by_place):
            raise UserError(f"{component.where}.{name} is missing: {signature.name} needs it")
