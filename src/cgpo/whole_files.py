"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file atomically, in place of what was there; text as UTF-8.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(unfinished, path)
