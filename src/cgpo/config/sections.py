"""What all sections of the schema have in common: they are frozen, and take no key that they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

from annotated_types import Ge, Gt
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cgpo.bounds import is_listing, is_mapping
from cgpo.config.components import Component, Value


class Section(BaseModel):
    """Some keys of a configuration that belong together. The text under a key is what the reference says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def in_words(cls) -> str:
        """What a section must be."""
        return f"a mapping with the keys {', '.join(field.alias or name for name, field in cls.model_fields.items())}"


@dataclass(frozen=True)
class Example:
    """How a key that has no default may be written, such as `input=rows.jsonl`."""

    text: str


@dataclass(frozen=True)
class IsA:
    """Lets an object of a class through as it is, whatever is in it."""

    kind: type

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Asks for the class alone."""
        return core_schema.is_instance_schema(self.kind)


def _listed(value: object) -> object:
    """One name stands for a list of one; a name that is there twice is there once."""
    if isinstance(value, str):
        return (value,)
    if is_listing(value):
        return tuple(dict.fromkeys(value)) if all(isinstance(item, str) for item in value) else tuple(value)
    return () if value is None else value


def _several(value: object) -> object:
    """A list as a tuple, which nothing changes; one value stands for a list of one."""
    return tuple(value) if is_listing(value) else value if value is None or is_mapping(value) else (value,)


Count: TypeAlias = Annotated[int, Ge(1)]
Whole: TypeAlias = Annotated[int, Ge(0)]
Positive: TypeAlias = Annotated[float, Gt(0)]
Named: TypeAlias = Annotated[Component, IsA(Component)]
"""A class of ours or of one's own, by `_target_`."""
if TYPE_CHECKING:
    Values: TypeAlias = Mapping[str, Value]
else:  # the alias of what a value may be contains itself, which pydantic cannot follow
    Values = Annotated[Mapping[str, object], IsA(Mapping)]
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Texts: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_several)]
Several = BeforeValidator(_several)
"""Lets a list, or a single value, be a tuple."""
