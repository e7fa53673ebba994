"""What a value may be, said once beside the field that holds it: types, bounds, units; checked, and put into words.

A field says what it may be in its annotation, `Annotated[float, Gt(0), Unit("seconds")] | None`. The configuration
reads that from the source, before anything dear is imported; the class checks itself by it when it is made.
"""

from __future__ import annotations

import collections.abc
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Literal, TypeAlias, TypeGuard, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from cgpo.errors import UserError

SEQUENCES = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


@dataclass(frozen=True)
class Unit:
    """What a number counts or measures, such as `seconds` or `nats a response`; metadata of an annotation."""

    name: str


@dataclass(frozen=True)
class Loads:
    """Marks a text that names a model: a folder, a hub id, or a result of the pipeline."""


ModelPath: TypeAlias = Annotated[str, Loads()]
"""The annotation of an argument that names a model, so that whether it is there is known before anything is loaded."""


def fits(annotation: object, value: object) -> bool:
    """Whether a value is what an annotation says; whatever is not known of an annotation lets everything pass.

    A whole number is a number; true and false are none, and neither are infinity and what is not a number.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return fits(arguments[0], value) and all(_within(bound, value) for bound in arguments[1:])
    if origin in (Union, UnionType):
        return any(fits(part, value) for part in arguments)
    if origin is Literal:
        return any(value == choice and isinstance(value, bool) is isinstance(choice, bool) for choice in arguments)
    if (origin or annotation) in SEQUENCES:
        return is_listing(value) and all(fits(_item(arguments), item) for item in value)
    if (origin or annotation) in MAPPINGS:
        kinds = arguments or (object, object)
        return is_mapping(value) and all(fits(kinds[1], item) for item in value.values())
    return _is_a(annotation, value)


def _is_a(kind: object, value: object) -> bool:
    if kind is None or kind is NoneType:
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, str) if kind is str else True


def is_listing(value: object) -> TypeGuard[Collection[object]]:
    """Whether a value is a list or the like, and no text."""
    return isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)


def is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """Whether a value is a mapping, as YAML has them: its keys are texts."""
    return isinstance(value, Mapping)


def _item(arguments: Sequence[object]) -> object:
    """The kind of a sequence's items: `tuple[int, str]` has several, which are not told apart."""
    known = [argument for argument in arguments if argument is not Ellipsis]
    return known[0] if len(known) == 1 else object


def _within(bound: object, value: object) -> bool:
    if not isinstance(value, int | float):
        return True
    match bound:
        case Gt(gt=limit):
            return value > limit  # type: ignore[operator]
        case Ge(ge=limit):
            return value >= limit  # type: ignore[operator]
        case Lt(lt=limit):
            return value < limit  # type: ignore[operator]
        case Le(le=limit):
            return value <= limit  # type: ignore[operator]
        case _:
            return True


def needed(annotation: object) -> str:
    """What a value must be, in words: `a whole number of at least 1, or auto`; empty where anything will do."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(needed(arguments[0]), arguments[1:], arguments[0])
    if origin in (Union, UnionType):
        return _either(arguments)
    if origin is Literal:
        return _listed([str(choice) for choice in arguments])
    if (origin or annotation) in SEQUENCES:
        return f"a list{_items(_item(arguments))}"
    if (origin or annotation) in MAPPINGS:
        return "a mapping"
    if isinstance(annotation, type) and (in_words := getattr(annotation, "in_words", None)) is not None:
        return in_words()
    words = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        NoneType: "null",
        None: "null",
    }
    return next((text for kind, text in words.items() if annotation is kind), "")


def complaint(key: str, annotation: object, value: object) -> str:
    """What is wrong with a value that does not fit: the key, what it is, what it must be, the nearest right word."""
    if is_mapping(value):
        for kind in _mappings(annotation):
            for name, item in value.items():
                if not fits(kind, item):
                    return complaint(f"{key}.{name}", kind, item)
    close = get_close_matches(value, words_of(annotation), n=1) if isinstance(value, str) else []
    guess = f" (did you mean {close[0]}?)" if close else ""
    return f"{key} is {value!r}: it must be {needed(annotation)}{guess}"


def _mappings(annotation: object) -> list[object]:
    """The kinds of values of the mappings that an annotation allows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in MAPPINGS:
        return [arguments[1]]
    return [kind for part in arguments for kind in _mappings(part)] if origin in (Annotated, Union, UnionType) else []


def words_of(annotation: object) -> list[str]:
    """The words that an annotation lets one choose from."""
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return [word for part in get_args(annotation) for word in words_of(part)]


def unit_of(annotation: object) -> str:
    """The unit that an annotation names anywhere; empty where it names none."""
    return next((mark.name for mark in marks_of(annotation) if isinstance(mark, Unit)), "")


def marks_of(annotation: object) -> list[object]:
    """All that an annotation says besides types: bounds, units and other marks."""
    if get_origin(annotation) is Annotated:
        first, *marks = get_args(annotation)
        return [*marks, *marks_of(first)]
    return [mark for part in get_args(annotation) for mark in marks_of(part)]


def limits(annotation: object) -> bool:
    """Whether an annotation says more than a type: bounds, or words to choose from."""
    bounded = any(not isinstance(mark, Unit | Loads) for mark in marks_of(annotation))
    return bounded or bool(words_of(annotation))


def check_fields(instance: object) -> None:
    """Checks a dataclass's fields by their annotations, where those say more than a type; for `__post_init__`.

    Raises:
        UserError: naming the class, the field and what it must be.
    """
    kind = type(instance)
    for field in fields(instance):  # pyright: ignore[reportArgumentType]
        annotation = _meaning(field.type, kind, field.name)
        value = getattr(instance, field.name, None)
        if field.init and limits(annotation) and not fits(annotation, value):
            raise UserError(complaint(f"{kind.__name__}.{field.name}", annotation, value))


def check_arguments(owner: type, given: Mapping[str, object]) -> None:
    """The same for a class with an `__init__` of its own: `check_arguments(MathJudge, locals())`, at its beginning.

    Raises:
        UserError: naming the class, the argument and what it must be.
    """
    for name, written in owner.__init__.__annotations__.items():
        annotation = _meaning(written, owner, "")
        if name in given and limits(annotation) and not fits(annotation, given[name]):
            raise UserError(complaint(f"{owner.__name__}.{name}", annotation, given[name]))


def _meaning(annotation: object, kind: type, field: str) -> object:
    """What a text that stands for an annotation means; anything where it names what is only there for a checker."""
    if not isinstance(annotation, str):
        return annotation
    holder = field or "__init__"
    defined = next(base for base in kind.__mro__ if holder in vars(base) or holder in _annotations(base))
    try:
        return eval(annotation, vars(sys.modules[defined.__module__]))
    except NameError:
        return object


def _annotations(kind: type) -> Mapping[str, object]:
    return vars(kind).get("__annotations__", {})


def _bounded(text: str, metadata: Sequence[object], kind: object) -> str:
    words: dict[type, str] = {}
    for bound in metadata:
        match bound:
            case Gt(gt=limit):
                words[Gt] = f"above {limit}"
            case Ge(ge=limit):
                words[Ge] = f"of at least {limit}"
            case Lt(lt=limit):
                words[Lt] = f"below {limit}"
            case Le(le=limit):
                words[Le] = f"of at most {limit}"
            case _:
                pass
    bounds = " and ".join(words.values())
    if set(words) == {Ge, Le}:
        bounds = bounds.replace("of at least", "from").replace("and of at most", "to")
    unit = next((m.name for m in metadata if isinstance(m, Unit)), "") if kind is float else ""
    return f"{text} {bounds}".rstrip() + (f", in {unit}" if unit else "")


def _either(kinds: Sequence[object]) -> str:
    """`X, or null`; `true, false or auto`; empty where one of them may be anything."""
    others = [kind for kind in kinds if kind not in (None, NoneType)]
    if all(kind is bool or get_origin(kind) is Literal for kind in others):
        words = [word for kind in others for word in (("true", "false") if kind is bool else map(str, get_args(kind)))]
        texts = [_listed(words)]
    else:
        texts = [needed(kind) for kind in others]
    if not all(texts):
        return ""
    return ", or ".join([*dict.fromkeys(texts), *(["null"] if len(others) < len(kinds) else [])])


def _items(kind: object) -> str:
    if get_origin(kind) is Literal:
        return f" of some of {', '.join(map(str, get_args(kind)))}"
    plural = {int: "whole numbers", float: "numbers", str: "texts"}
    return next((f" of {text}" for known, text in plural.items() if kind is known), "")


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)
