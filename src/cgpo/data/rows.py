"""A row of a file, with the place it came from, so that every complaint can name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cgpo.errors import UserError


@dataclass(frozen=True)
class Row:
    r"""One row, whatever format it was stored in.

    Attributes:
        source: short name of the file, the same on every machine (`gsm8k/train.jsonl`).
        number: where the row is in the file, from 1: a line in JSONL and CSV, an item or a row elsewhere.
        location: the place as a person looks for it (`data/gsm8k/train.jsonl line 17`).
        fields: column name → value; `\r\n` and `\r` in texts are already `\n`.
    """

    source: str
    number: int
    location: str
    fields: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The row's stable identity, `gsm8k/train.jsonl:17`."""
        return f"{self.source}:{self.number}"

    def error(self, problem: str) -> UserError:
        """The complaint about this row, to be raised."""
        return UserError(f"{self.location}: {problem}")

    def value(self, column: str) -> Any:
        """The value of a column.

        Raises:
            UserError: the row has no such column, or its value is null.
        """
        value = self.fields.get(column)
        if value is not None:
            return value
        if column in self.fields:
            raise self.error(f"field '{column}' is null")
        raise self.error(f"no field '{column}'; found: {', '.join(map(str, self.fields)) or 'nothing'}")


def make_row(source: str, number: int, location: str, fields: object) -> Row:
    """A row whose line ends are normalised.

    Raises:
        UserError: `fields` is not an object of named values.
    """
    if not isinstance(fields, Mapping):
        raise UserError(f"{location}: expected an object with named fields, found {describe(fields)}")
    return Row(source, number, location, {name: _unix_line_ends(value) for name, value in fields.items()})


def describe(value: object) -> str:
    """A value as a complaint shows it: its kind and its beginning."""
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _unix_line_ends(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, list):
        return [_unix_line_ends(item) for item in value]
    if isinstance(value, dict):
        return {name: _unix_line_ends(item) for name, item in value.items()}
    return value
