"""Lists the checkpoints of a run, finds damage, and deletes those that are not kept."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MANIFEST = "manifest.json"
WEIGHTS = "weights"
UNFINISHED = ".unfinished"
NAMED = re.compile(r"step-(\d+)")
VERSION = 2
"""The format of checkpoints, raised when earlier ones cannot be loaded any more."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk, as its manifest describes it.

    Attributes:
        folder: the checkpoint's folder.
        step: the number of updates done.
        processes: the number of processes that shared the batch.
        threads: torch's threads in each process, on which the last bits of its numbers depend.
        score: the number by which the best are kept, if it was known.
        logs: the rows of `metrics.csv`, and the bytes of the run's other logs, at that time.
        files: size and checksum of each file.
        version: the format that it was written in.
    """

    folder: Path
    step: int
    processes: int
    threads: int
    score: float | None = None
    logs: Mapping[str, int] = field(default_factory=dict[str, int])
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    version: int = VERSION

    def damage(self) -> str | None:
        """Returns in words what is wrong with the files, or `None` if they are as they were written."""
        for name, (size, expected) in self.files.items():
            file = self.folder / name
            try:
                if not file.is_file():
                    return f"{name} is missing"
                if file.stat().st_size != size:
                    return f"{name} has {file.stat().st_size} bytes instead of {size}"
                if checksum(file) != expected:
                    return f"{name} has changed"
            except OSError as error:
                return f"{name} cannot be read: {error.strerror}"
        return None


def checkpoints(root: Path) -> list[Checkpoint]:
    """Returns the checkpoints in a folder, the newest first; one that cannot be read counts as damaged."""
    folders = [folder for folder in root.iterdir() if NAMED.fullmatch(folder.name)] if root.is_dir() else []
    return sorted(map(_read, folders), key=lambda found: -found.step)


def newest_whole(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """Returns the newest checkpoint that can be loaded, and in words what is wrong with the newer ones."""
    problems: list[str] = []
    for found in checkpoints(root):
        if found.version != VERSION:
            problems.append(f"checkpoint {found.folder} is of format {found.version}, and cgpo reads {VERSION} now")
        elif problem := found.damage():
            problems.append(f"checkpoint {found.folder} is damaged ({problem})")
        else:
            return found, problems
    return None, problems


def prune(root: Path, keep_last: int, keep_best: int, newest: int) -> None:
    """Deletes all checkpoints except the newest and those of the highest scores, and unfinished ones.

    Args:
        root: the folder of checkpoints.
        keep_last: how many of the newest are kept, at least one.
        keep_best: how many of the highest scores are kept besides.
        newest: the step of the one just written. Later ones were found damaged, and do not count.
    """
    everything = checkpoints(root)
    found = [c for c in everything if c.step <= newest]
    scored = sorted((c for c in found if c.score is not None), key=lambda c: (-(c.score or 0.0), -c.step))
    kept = {c.folder for c in (*found[:keep_last], *scored[:keep_best])}
    for folder in [c.folder for c in everything if c.folder not in kept] + list(root.glob(f"*{UNFINISHED}")):
        # It is renamed first, so that a half deleted one does not count as damaged.
        unwanted = (
            folder if folder.name.endswith(UNFINISHED) else folder.rename(folder.with_name(folder.name + UNFINISHED))
        )
        shutil.rmtree(unwanted, ignore_errors=True)


def checksum(file: Path) -> int:
    """Computes the checksum of a file's content, which finds damage but not malice."""
    found = 0
    with file.open("rb") as content:
        while part := content.read(1 << 22):
            found = zlib.crc32(part, found)
    return found


def _read(folder: Path) -> Checkpoint:
    step = int(folder.name.removeprefix("step-"))
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        known = {key: manifest[key] for key in ("step", "processes", "threads", "score", "logs")}
        files = {name: (size, checksum) for name, (size, checksum) in manifest["files"].items()}
        if known["step"] == step:
            return Checkpoint(folder=folder, files=files, version=int(manifest["version"]), **known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # it counts as damaged, since its one file can match nothing
    return Checkpoint(folder, step, 0, 0, files={MANIFEST: (-1, 0)})
