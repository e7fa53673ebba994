"""Reading rows: JSONL, JSON and CSV (each also as `.gz`), Parquet, or a data set of the `datasets` library."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import orjson

from cgpo.data.rows import Row, make_row
from cgpo.data.tables import read_dataset, read_parquet
from cgpo.errors import UserError

READABLE = ".jsonl, .json, .csv (each also as .gz) or .parquet"


def read_rows(path: str | Path, split: str | None = None, subset: str | None = None) -> Iterator[Row]:
    """Reads the rows of a file, or of a data set where `split` is given.

    Args:
        path: a file, or what `datasets.load_dataset` takes (a hub id, a folder).
        split: the split of the data set (`train`); `None` for a file.
        subset: the data set's configuration name, if it has several.

    Yields:
        The rows in the order of the file, blank lines left out.

    Raises:
        UserError: the file is missing, of another format, or a part of it cannot be read (names the line).
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
    for number, fields in enumerate(rows, start=1):
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
