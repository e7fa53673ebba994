"""The column mapping of a YAML file: where each name in a template, and each metadata entry, comes from."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from cgpo.data import extractors
from cgpo.data.files import Row, preview
from cgpo.errors import UserError

FieldSpec = str | Mapping[str, Any]
"""A column's name, or a mapping with some of `column`, `extract`, `values`, `default`, `constant`."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ABSENT = object()


class Field:
    """One named value of a row.

    Args:
        name: the name of the value, for messages.
        spec: a column's name, or a mapping with

            - `column`: a column, or a list of them; without it an extractor gets the whole row as a mapping;
            - `extract`: a function of `cgpo.data.extractors`, or the dotted path of your own;
            - `values`: a mapping from the values that the column may have to the values wanted;
            - `default`: the value if all the columns are absent or null;
            - `constant`: the value for every row, instead of all the others.

    Raises:
        UserError: a key or an extractor is unknown.
    """

    def __init__(self, name: str, spec: FieldSpec) -> None:
        options: dict[str, Any] = {"column": spec} if isinstance(spec, str) else dict(spec)
        unknown = set(options) - {"column", "extract", "values", "default", "constant"}
        if unknown:
            raise UserError(
                f"field '{name}': unknown key {sorted(unknown)}; known: column, extract, values, default, constant"
            )
        if ("constant" in options) == bool({"column", "extract"} & set(options)):
            raise UserError(f"field '{name}' needs a column, an extractor or a constant (and a constant stands alone)")
        column = options.get("column")
        self.name = name
        self.columns: tuple[str, ...] = (
            () if column is None else (column,) if isinstance(column, str) else tuple(column)
        )
        self.values: Mapping[Any, Any] | None = options.get("values")
        self.default: Any = options.get("default", _ABSENT)
        self.constant: Any = options.get("constant", _ABSENT)
        self.extract = None if options.get("extract") is None else _extractor(name, options["extract"])

    def read(self, row: Row) -> Any:
        """Reads the field's value from a row.

        Raises:
            UserError: a column is missing or null, or its value is not what the extractor or `values` expects.
        """
        if self.constant is not _ABSENT:
            return self.constant
        if self.default is not _ABSENT and all(row.fields.get(column) is None for column in self.columns):
            return self.default
        found = [row.value(column) for column in self.columns] or [row.fields]
        if self.extract is not None:
            try:
                found = [self.extract(*found)]
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                what = "; ".join(preview(value) for value in found) if self.columns else "the row"
                raise row.error(f"{self._place}: {error}; found {what}") from error
        value = found[0] if len(found) == 1 else found
        if self.values is None:
            return value
        if not isinstance(value, str | int | float) or value not in self.values:
            raise row.error(f"{self._place}: expected one of {list(self.values)}, found {preview(value)}")
        return self.values[value]

    @property
    def _place(self) -> str:
        unchanged = self.columns == (self.name,)
        return f"field '{self.name}'" + ("" if unchanged or not self.columns else f" (from {', '.join(self.columns)})")


class Template:
    r"""A text with `{name}` placeholders, in which any other brace stands for itself (`\boxed{}`).

    Args:
        text: the text.
        names: the names that placeholders may have.

    Raises:
        UserError: a placeholder has another name.
    """

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text = text
        self.names = tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))
        unknown = [name for name in self.names if name not in names]
        if unknown:
            raise UserError(f"template {text!r}: no column is given for {unknown}; given: {sorted(names)}")

    def fill(self, row: Row, fields: Mapping[str, Field]) -> str:
        """Fills the placeholders from a row; a list of texts is joined by line ends.

        Raises:
            UserError: a column is missing, or is not a text, a number or a list of texts.
        """
        values = {name: _as_text(row, fields[name]) for name in self.names}
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)


def _as_text(row: Row, field: Field) -> str:
    value: object = field.read(row)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        items = cast("list[object]", value)
        texts = [item for item in items if isinstance(item, str)]
        if len(texts) == len(items):
            return "\n".join(texts)
    raise row.error(f"field '{field.name}': expected a text, found {preview(field.read(row))}")


def _extractor(field: str, name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.rpartition(".")
    if not module_name and name not in extractors.__all__:
        raise UserError(
            f"field '{field}': no extractor '{name}'; there are: {', '.join(extractors.__all__)}; or give a dotted path"
        )
    try:
        function = getattr(importlib.import_module(module_name) if module_name else extractors, function_name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"field '{field}': extractor '{name}' cannot be imported: {error}") from error
    if not callable(function):
        raise UserError(f"field '{field}': extractor '{name}' is not a function")
    return function
