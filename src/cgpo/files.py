"""The files that a configuration names: what was made with them is known by their state."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cgpo.errors import UserError


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file atomically, in place of what was there; text as UTF-8.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(unfinished, path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder under another name, which gets its own once the `with` block is through; an error leaves nothing.

    Args:
        path: what it will be called; an empty folder of that name may be there.

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
        os.rename(unfinished, path)  # takes the place of an empty folder, and of nothing else
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


FileState = tuple[str, int, int]
"""Absolute path, size in bytes, time of the last change in nanoseconds."""


def file_states(config: Any) -> list[FileState]:
    """The state of each file that a text in a configuration names, and of the files of each folder that one names.

    Args:
        config: mappings, lists and plain values.
    """
    return [_state(path) for path in _named(config)]


def _named(config: Any) -> Iterator[Path]:
    if isinstance(config, Mapping):
        for value in config.values():
            yield from _named(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _named(value)
    elif isinstance(config, str) and 0 < len(config) < 1000 and "\0" not in config:
        path = Path(config).expanduser()
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.is_file())
        elif path.is_file():
            yield path


def _state(path: Path) -> FileState:
    found = path.stat()
    return str(path.resolve()), found.st_size, found.st_mtime_ns
