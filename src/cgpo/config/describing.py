"""Every key of a command, told from the schema and the docstrings of the classes that are chosen: for help pages."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args, get_origin

import yaml
from omegaconf import OmegaConf

from cgpo.bounds import MAPPINGS, is_listing, is_mapping, needed, unit_of
from cgpo.config.annotations import ANYTHING
from cgpo.config.components import Component, Plain, components, plain
from cgpo.config.composing import ROOTS, choices, compose, search_folders
from cgpo.config.docstrings import summary_of
from cgpo.config.judging import GIVEN_LATER
from cgpo.config.mistakes import fields_of, section_in
from cgpo.config.reading import SCHEMAS
from cgpo.config.sections import Section
from cgpo.config.signatures import Parameter, Required, Untold
from cgpo.config.sources import read_module

EXPERIMENT = "experiment"
MOST_NAMES = 3
"""Names that are written out where several components of a group are of one class."""


@dataclass(frozen=True)
class KeyDescription:
    """A key: what its value may be, what that counts or measures, what it is by default, and what it means.

    Attributes:
        key: as it is written; `tasks.TASK.weight` and `data.NAME.limit` stand for one of several names, and
            `judges.{factuality,safety}.threshold` for each of these.
        type: what the value must be, in words; empty where anything will do.
        unit: of a number; empty where it has none.
        default: as YAML writes it; `None` where a value has to be given.
        sentence: what the key means.
    """

    key: str
    type: str
    unit: str
    default: str | None
    sentence: str


@dataclass(frozen=True)
class Group:
    """A group of the configuration, from which a choice is made: `optimizer=crpg`.

    Attributes:
        name: as it is typed.
        choices: each with what the comment in its file says.
        chosen: by default; several where it takes a list.
        sentence: what the group decides.
    """

    name: str
    choices: Mapping[str, str]
    chosen: tuple[str, ...]
    sentence: str


def describe(command: str, overrides: Sequence[str] = (), folders: Sequence[Path] = ()) -> list[KeyDescription]:
    """Every key that a command reads, in the schema's order, with the classes that its overrides choose.

    Args:
        command: such as `train`.
        overrides: as on the command line.
        folders: of configuration files of one's own.
    """
    written = cast(dict[str, Plain], OmegaConf.to_container(compose(command, overrides, folders), resolve=False))
    tree = {key: components(key, value) for key, value in written.items()}
    return list(_of_section(SCHEMAS[command], tree, ""))


def groups(command: str) -> list[Group]:
    """The groups that a command's configuration is chosen from, in the order of its defaults."""
    said = sentences_of(SCHEMAS[command])
    experiment = "A whole recipe: choices of other groups and values that belong together."
    return [
        Group(
            name,
            {choice: comment_of(f"{name}/{choice}") for choice in choices(name)},
            chosen,
            experiment if name == EXPERIMENT else said.get(name, ""),
        )
        for name, chosen in _defaults(ROOTS[command]).items()
    ]


def sentences_of(section: type[Section]) -> dict[str, str]:
    """The text under each key of a section, under the name that a configuration gives the key."""
    said: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        module = read_module(kind.__module__) if issubclass(kind, Section) else None
        node = module.names.get(kind.__name__) if module is not None else None
        body = node.body if isinstance(node, ast.ClassDef) else []
        for field, text in pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                    said[name] = summary_of(sentence)
                case _:
                    pass
    return {field.alias or name: said.get(name, "") for name, field in section.model_fields.items()}


def comment_of(file: str) -> str:
    """What the comment at the top of a file of the configuration says."""
    path = next((p for folder in search_folders() if (p := folder / f"{file}.yaml").is_file()), None)
    lines = path.read_text().splitlines() if path is not None else []
    said: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        if "@package" not in line:
            said.append(line.lstrip("# ").strip())
    return " ".join(said)


def _defaults(root: str) -> dict[str, tuple[str, ...]]:
    """Group → choice of a root file, those of the root that it starts from included."""
    path = next(p for folder in search_folders() if (p := folder / f"{root}.yaml").is_file())
    found: dict[str, tuple[str, ...]] = {}
    entries: list[str | dict[str, str | list[str] | None]] = yaml.safe_load(path.read_text()).get("defaults", [])
    for entry in entries:
        if isinstance(entry, str):
            found |= _defaults(entry) if entry != "_self_" else {}
            continue
        for group, choice in entry.items():
            if not group.startswith(("override ", "optional ")):
                found[group] = () if choice is None else (choice,) if isinstance(choice, str) else tuple(choice)
    return found


def _of_section(section: type[Section], tree: Mapping[str, object], prefix: str) -> Iterator[KeyDescription]:
    said = sentences_of(section)
    for name, annotation in fields_of(section).items():
        key = f"{prefix}{name}"
        value = tree.get(name, _default(section, name))
        yield from _of_key(key, annotation, value, said[name])


def _of_key(key: str, annotation: object, value: object, sentence: str) -> Iterator[KeyDescription]:
    inner = section_in(annotation)
    if isinstance(value, Component):
        yield from of_component(value, key, sentence)
    elif inner is not None:
        if value is None:
            yield KeyDescription(key, "a mapping, or null", "", "null", sentence)
        yield from _of_section(inner, value if is_mapping(value) else {}, f"{key}.")
    elif is_mapping(value) and (section := _section_of_each(annotation)) is not None:
        yield from _of_each(section, value, key)
    elif is_mapping(value) and value and all(isinstance(item, Component) for item in value.values()):
        yield from _of_components(key, {n: c for n, c in value.items() if isinstance(c, Component)})
    else:
        yield described(key, annotation, value, sentence)


def described(key: str, annotation: object, default: object, sentence: str) -> KeyDescription:
    """The description of one key."""
    unit = unit_of(annotation)
    written = None if isinstance(default, Required) or default == "???" else as_yaml(default)
    return KeyDescription(key, needed(annotation).replace(f", in {unit}", ""), unit, written, sentence)


def of_component(component: Component, key: str, sentence: str = "") -> Iterator[KeyDescription]:
    """The keys of a component: its class, and each argument, those of inner components included."""
    signature = component.signature
    yield KeyDescription(f"{key}._target_", "a class", "", component.target, sentence or signature.summary)
    for name, parameter in signature.parameters.items():
        value = component.arguments.get(name, parameter.default)
        if name not in component.arguments and _is_given_later(parameter):
            continue
        if isinstance(value, Component):
            yield from of_component(value, f"{key}.{name}", parameter.sentence)
        else:
            yield described(f"{key}.{name}", parameter.annotation, value, parameter.sentence)


def _is_given_later(parameter: Parameter) -> bool:
    """Whether an argument is nothing that a configuration could say: a function, or objects that are made by then."""
    return parameter.annotation is ANYTHING or parameter.name in GIVEN_LATER


def _of_components(key: str, named: Mapping[str, Component]) -> Iterator[KeyDescription]:
    """The keys of a mapping of components, once for all that are of one class."""
    targets = dict.fromkeys(component.target for component in named.values())
    for target in targets:
        names = [name for name, component in named.items() if component.target == target]
        written = f"{{{','.join(names)}}}" if 1 < len(names) <= MOST_NAMES else names[0]
        label = "NAME" if len(names) == len(named) > MOST_NAMES or len(names) > MOST_NAMES else written
        yield from of_component(named[names[0]], f"{key}.{label}")


def _of_each(section: type[Section], tree: Mapping[str, object], key: str) -> Iterator[KeyDescription]:
    """The keys of each of several sections of one kind, with the default that all of them have."""
    label = key.rstrip("s").upper()
    said = sentences_of(section)
    for name, annotation in fields_of(section).items():
        values = [item.get(name, _default(section, name)) for item in tree.values() if is_mapping(item)]
        written = {as_yaml(value) for value in values if not isinstance(value, Required)}
        found = described(f"{key}.{label}.{name}", annotation, None, said[name])
        default = written.pop() if len(written) == 1 else f"differs by {label.lower()}"
        yield KeyDescription(found.key, found.type, found.unit, default, found.sentence)


def _section_of_each(annotation: object) -> type[Section] | None:
    return section_in(get_args(annotation)[1]) if get_origin(annotation) in MAPPINGS else None


def _default(section: type[Section], name: str) -> object:
    field = next(f for known, f in section.model_fields.items() if name in (known, f.alias))
    return Required() if field.is_required() else field.default


def as_yaml(value: object) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, Untold):
        return value.text
    if isinstance(value, Component):
        return as_yaml(plain(value))
    if is_mapping(value):
        return f"{{{', '.join(f'{key}: {as_yaml(item)}' for key, item in value.items())}}}"
    if is_listing(value):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f'"{value}"' if isinstance(value, str) and (not value or value != value.strip()) else str(value)
