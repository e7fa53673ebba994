"""Files: written whole or not at all, read and written as JSON lines, and recognised by their fingerprint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import orjson

from cgpo.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces a file in one step, so that no reader ever sees half of it; text is written as UTF-8.

    Raises:
        OSError: it cannot be written; the old file is then still in place.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(unfinished, path)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """Makes a folder under a temporary name and renames it when the block ends; an error leaves nothing behind.

    Args:
        path: the final name; an empty folder may already have it.

    Yields:
        The folder to write into.

    Raises:
        UserError: there is something of that name already.
    """
    if path.exists() and not (path.is_dir() and next(path.iterdir(), None) is None):
        raise UserError(f"{path}: there is something already, and it is never overwritten; name another folder")
    unfinished = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        os.rename(unfinished, path)  # replaces an empty folder and nothing else
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_json_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Reads the rows of a file of JSON lines that another process may still be writing.

    Yields:
        One row a line; nothing if there is no file. A last line without a line end is still being written and is
        left out.

    Raises:
        UserError: a line is not JSON.
    """
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(f"{file}: line {number} is no JSON: {error}") from error
            yield row


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Encodes rows as JSON lines."""
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def append_json_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Appends rows to a file of JSON lines; without any rows the file is still created."""
    with file.open("ab") as lines:
        lines.write(json_lines(rows))


Fingerprint = tuple[str, int, int]
"""A file's absolute path, its size in bytes, and the time of its last change in nanoseconds."""


def file_fingerprints(config: object) -> list[Fingerprint]:
    """Fingerprints every file that a configuration names, and the files directly inside every folder that it names.

    Whatever was made with these files is out of date as soon as a fingerprint changes.

    Args:
        config: nested mappings and lists of plain values, as Hydra composes them.
    """
    return [_fingerprint(path) for path in _named_files(config)]


def _named_files(config: object) -> Iterator[Path]:
    if isinstance(config, Mapping):
        for value in cast(Mapping[object, object], config).values():
            yield from _named_files(value)
    elif isinstance(config, list | tuple):
        for value in cast(Sequence[object], config):
            yield from _named_files(value)
    elif isinstance(config, str) and 0 < len(config) < 1000 and "\0" not in config:
        path = Path(config).expanduser()
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.is_file())
        elif path.is_file():
            yield path


def _fingerprint(path: Path) -> Fingerprint:
    state = path.stat()
    return str(path.resolve()), state.st_size, state.st_mtime_ns
