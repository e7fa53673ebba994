"""The files that a configuration names: what was made with them is known by their state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
