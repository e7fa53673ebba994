"""From what pydantic finds wrong with a configuration to one line: the key, what it must be, the nearest right name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cgpo.bounds import MAPPINGS, SEQUENCES, complaint, is_listing, is_mapping, marks_of
from cgpo.config.renamed import renamed
from cgpo.config.sections import Example, Section
from cgpo.errors import UserError, choose


@cache
def fields_of(section: type[Section]) -> Mapping[str, object]:
    """The annotation of each key of a section, in order, under the name that a configuration gives it."""
    return {
        field.alias or name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in section.model_fields.items()
    }


def section_in(annotation: object) -> type[Section] | None:
    """The section that an annotation allows, if it allows one."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return next((found for part in get_args(annotation) if (found := section_in(part)) is not None), None)
    return None


def mistake(error: ValidationError, schema: type[Section], tree: Mapping[str, object]) -> UserError:
    """What a person should mend first: a key that there is not, a value that is wrong, a key that is missing."""
    rank = {"extra_forbidden": 0, "missing": 2}
    first = min(error.errors(), key=lambda details: rank.get(details["type"], 1))
    return UserError(_line(first, schema, tree))


S = TypeVar("S", bound=Section)


def checked(section: type[S], given: object, where: str) -> S:
    """A section of its own, such as `model.lora` where it is given in Python.

    Args:
        section: what it must be.
        given: as it was written.
        where: the key that it stands under, for errors.

    Raises:
        UserError: naming the key and what it must be.
    """
    if not is_mapping(given):
        raise UserError(complaint(where, section, given))
    try:
        return section.model_validate(dict(given))
    except ValidationError as error:
        line = str(mistake(error, section, given))
        raise UserError(line if line.startswith(f"{where}.") else f"{where}.{line}") from error


def missing_line(key: str, schema: type[Section]) -> str:
    """What is said of a key that has to be named."""
    annotation, _, _ = _place(schema, {}, key.split("."), to_the_end=True)
    example = next((mark.text for mark in marks_of(annotation) if isinstance(mark, Example)), "")
    return f"{key} is missing: name {example}" if example else f"{key} is missing: write {key}=…"


def _line(details: ErrorDetails, schema: type[Section], tree: Mapping[str, object]) -> str:
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return str(cause)
    location = [str(part) for part in details["loc"]]
    key = ".".join(location)
    if details["type"] == "extra_forbidden":
        return unknown_key(key, schema)
    if details["type"] == "missing":
        return missing_line(key, schema)
    annotation, value, place = _place(schema, tree, location)
    return complaint(".".join(place), annotation, value)


def unknown_key(key: str, schema: type[Section]) -> str:
    """What is said of a key that a command does not read."""
    if moved := renamed(key):
        return moved
    *around, name = key.split(".")
    annotation, _, _ = _place(schema, {}, around, to_the_end=True)
    section = section_in(annotation)
    known = list(fields_of(section)) if section is not None else []
    if not around and "optimizer" in known:
        known.append("experiment")
    where = f" under {'.'.join(around)}" if around else ""
    deeper = [f"{top}.{name}" for top, kind in fields_of(schema).items() if _has(kind, name)] if not around else []
    if deeper:
        return f"{key}: there is no such key; did you mean {' or '.join(deeper)}?"
    return f"{key}: there is no such key{where}; {choose(name, known)}"


def _has(annotation: object, name: str) -> bool:
    section = section_in(annotation)
    return section is not None and name in fields_of(section)


def _place(
    schema: type[Section], tree: object, location: Sequence[str], to_the_end: bool = False
) -> tuple[object, object, list[str]]:
    """The annotation, value and key of a location, as far as the tree has it: what follows are parts of a union."""
    annotation: object = schema
    place: list[str] = []
    for part in location:
        if part == "0" and not is_listing(tree) and (item := _item(annotation)) is not None:
            annotation = item  # one value stands for a list of one
            continue
        inner, found = _step(annotation, tree, part)
        if inner is None and not to_the_end:
            break
        annotation, tree = inner, found
        place.append(part)
    return annotation, tree, place


def _item(annotation: object) -> object | None:
    """The kind of the items of the list that an annotation allows, if it allows one."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        return next((found for part in arguments if (found := _item(part)) is not None), None)
    return arguments[0] if origin in SEQUENCES else None


def _step(annotation: object, tree: object, part: str) -> tuple[object | None, object]:
    """The annotation and the value of what is one key further in; `None` where the annotation has no such key."""
    section = section_in(annotation)
    if section is not None:
        inner = tree.get(part) if is_mapping(tree) else None
        return fields_of(section).get(part), inner
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        steps = [_step(kind, tree, part) for kind in arguments]
        return next((step for step in steps if step[0] is not None), (None, None))
    if origin in MAPPINGS and (tree is None or (is_mapping(tree) and part in tree)):
        return arguments[1], tree[part] if is_mapping(tree) else None
    if origin in SEQUENCES and part.isdigit() and is_listing(tree) and int(part) < len(tree):
        return arguments[0], list(tree)[int(part)]
    return None, None
