"""Reading rows: JSONL, JSON and CSV (each also as `.gz`), Parquet, or a data set of the `datasets` library."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from cgpo.errors import UserError, first_line


@dataclass(frozen=True)
class Row:
    r"""One row, whatever format it was stored in.

    Attributes:
        source: the short name of the file, the same on every machine (`gsm8k/train.jsonl`).
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
        """The row's stable identity, such as `gsm8k/train.jsonl:17`."""
        return f"{self.source}:{self.number}"

    def error(self, problem: str) -> UserError:
        """Makes the error that names this row, for the caller to raise."""
        return UserError(f"{self.location}: {problem}")

    def value(self, column: str) -> Any:
        """Returns the value of a column.

        Raises:
            UserError: the row has no such column, or its value is null.
        """
        value = self.fields.get(column)
        if value is not None:
            return value
        if column in self.fields:
            raise self.error(f"field '{column}' is null")
        raise self.error(f"no field '{column}'; found: {', '.join(map(str, self.fields)) or 'nothing'}")

    def text(self, column: str) -> str:
        """Returns the value of a column that must be a text.

        Raises:
            UserError: the row has no such column, or its value is null or not a text.
        """
        value = self.value(column)
        if not isinstance(value, str):
            raise self.error(f"field '{column}': expected a text, found {preview(value)}")
        return value


def make_row(source: str, number: int, location: str, fields: object) -> Row:
    """Makes a row with normalised line ends; see `Row` for the arguments.

    Raises:
        UserError: `fields` is not an object of named values.
    """
    if not isinstance(fields, Mapping):
        raise UserError(f"{location}: expected an object with named fields, found {preview(fields)}")
    values = cast("Mapping[str, Any]", fields)
    return Row(source, number, location, {name: _unix_line_ends(value) for name, value in values.items()})


def preview(value: object) -> str:
    """Shows a value in a message: its type and the beginning of its text."""
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _unix_line_ends(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, list):
        return [_unix_line_ends(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _unix_line_ends(item) for name, item in cast("dict[Any, Any]", value).items()}
    return value


def optional_module(name: str, purpose: str) -> Any:
    """Imports a module that the core installation lacks.

    Args:
        name: the module.
        purpose: what needs it, for the message.

    Raises:
        UserError: it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UserError(f"{purpose} needs {package}: pip install 'cgpo[data]'") from error


def read_parquet(file: Path, source: str) -> Iterator[Row]:
    """Yields the rows of a Parquet file, with one batch of them in memory at a time.

    Raises:
        UserError: pyarrow is missing, or the file is not Parquet.
    """
    parquet = optional_module("pyarrow.parquet", f"reading {file}")
    number = 0
    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            for fields in batch.to_pylist():
                number += 1
                yield make_row(source, number, f"{file} row {number}", fields)
    except (OSError, importlib.import_module("pyarrow").ArrowException) as error:
        raise UserError(f"{file}: cannot be read as Parquet: {first_line(error)}") from error


def read_dataset(path: str, split: str, subset: str | None) -> Iterator[Row]:
    """Yields the rows of one split of a data set, as `datasets.load_dataset` finds it.

    Raises:
        UserError: `datasets` is missing, or cannot find or load the data set.
    """
    datasets = optional_module("datasets", f"loading the data set '{path}'")
    try:
        rows = datasets.load_dataset(path, subset, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"data set '{path}', split '{split}': {first_line(error)}") from error
    name = "/".join(part for part in (path, subset, split) if part)
    for number, fields in enumerate(rows, start=1):
        yield make_row(name, number, f"data set {name} row {number}", fields)


READABLE = ".jsonl, .json, .csv (each also as .gz) or .parquet"


def read_rows(path: str | Path, split: str | None = None, subset: str | None = None) -> Iterator[Row]:
    """Reads the rows of a file, or of a data set if `split` is given.

    Args:
        path: a file, or what `datasets.load_dataset` takes (a hub id, a folder).
        split: the split of the data set, such as `train`; `None` for a file.
        subset: the name of the data set's configuration, if it has several.

    Yields:
        The rows in the order of the file, without blank lines.

    Raises:
        UserError: the file is missing or has another format, or a line cannot be read; the message names it.
    """
    if split is not None:
        yield from read_dataset(str(path), split, subset)
        return
    file = Path(path)
    suffixes = [suffix.lower() for suffix in file.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    kind = "".join(suffixes[-2:-1] if compressed else suffixes[-1:])
    if kind not in {".jsonl", ".json", ".csv", ".parquet"} or (compressed and kind == ".parquet"):
        raise UserError(f"{path}: not a format that can be read ({READABLE}); for a `datasets` id give its split too")
    if not file.is_file():
        raise UserError(f"{path}: no such file")
    source = f"{file.resolve().parent.name}/{file.name}"
    if kind == ".parquet":
        yield from read_parquet(file, source)
        return
    content = _content(file, compressed)
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv}
    yield from readers[kind](content, source, str(path))


def _content(file: Path, compressed: bool) -> bytes:
    try:
        content = gzip.decompress(file.read_bytes()) if compressed else file.read_bytes()
    except (OSError, EOFError) as error:
        raise UserError(f"{file}: cannot be read: {error}") from error
    return content.removeprefix(b"\xef\xbb\xbf")


def _jsonl(content: bytes, source: str, path: str) -> Iterator[Row]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        location = f"{path} line {number}"
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UserError(f"{location}: not JSON: {error.msg} at column {error.colno}") from error
        yield make_row(source, number, location, fields)


def _json(content: bytes, source: str, path: str) -> Iterator[Row]:
    try:
        rows = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        place = f"{path} line {error.lineno}"
        hint = (
            "; a file of one object a line is to be named .jsonl" if error.msg.startswith("unexpected content") else ""
        )
        raise UserError(f"{place}: not JSON: {error.msg} at column {error.colno}{hint}") from error
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of objects, found {type(rows).__name__}")
    for number, fields in enumerate(cast("list[object]", rows), start=1):
        yield make_row(source, number, f"{path} item {number}", fields)


def _csv(content: bytes, source: str, path: str) -> Iterator[Row]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path} line {line}: not UTF-8: byte {content[error.start]:#04x}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for record in reader:
            number, start = start, reader.line_num + 1
            location = f"{path} line {number}"
            if not record:
                continue
            if header is None:
                header = record
                if len(set(header)) < len(header):
                    raise UserError(f"{location}: a column name stands twice: {', '.join(header)}")
                continue
            if len(record) != len(header):
                raise UserError(
                    f"{location}: {len(record)} fields where the header has {len(header)}: {', '.join(header)}"
                )
            yield make_row(source, number, location, dict(zip(header, record, strict=True)))
    except csv.Error as error:
        raise UserError(f"{path} line {start}: not CSV: {error}") from error
