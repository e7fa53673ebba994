"""Files and folders that are there whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
