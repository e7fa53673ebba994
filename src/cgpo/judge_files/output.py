"""The file of verdicts while it is written: one process at a time, taken up again where it was left."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from cgpo.errors import UserError
from cgpo.files import write_atomically
from cgpo.judge_files.rows import Judgement, Row

VERSION = 1
"""Raised when files that were begun before cannot be taken up."""


def summary_path(output: Path) -> Path:
    """Where the summary lies: it is there exactly when the file of verdicts is finished."""
    return output.with_name(f"{output.name}.summary.json")


def state_path(output: Path) -> Path:
    """Where an unfinished file's settings lie."""
    return output.with_name(f"{output.name}.state.json")


class Output:
    """The file of verdicts, locked for this process.

    Args:
        path: of the file.
        settings: what the verdicts depend on besides the rows; a file that was begun with others is refused.

    Raises:
        UserError: the file is finished, is not of this command, was begun with other settings, is being written by
            another process, or cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b")
        try:
            _lock(self._file, path)
            _check_finished(path)
            if path.stat().st_size:
                _check_begun_with(path, settings)
            else:
                _write_json(state_path(path), {"version": VERSION, "settings": settings})
        except BaseException:
            self._file.close()
            raise

    def take_up(self, rows: Iterator[Row]) -> Iterator[tuple[Row, Judgement]]:
        """The rows that were judged before; what follows the last whole one is dropped.

        Args:
            rows: the input, of which as many are read as were judged.

        Raises:
            UserError: a judged row is not the input's row.
        """
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            row = next(rows, None)
            judgement = None if row is None else _judgement(line, row)
            if row is None or judgement is None:
                where = f"is not {row.sample.prompt.key} with its verdicts" if row else "has no row in the input"
                raise UserError(
                    f"{self._path} line {number} {where}: one of the two files was changed; restore it, or choose "
                    "another output"
                )
            end += len(line)
            yield row, judgement
        self._file.truncate(end)

    def append(self, rows: list[tuple[Row, Judgement]]) -> None:
        """Adds rows with their judgements, in order, and hands them to the system.

        Raises:
            UserError: the disk is full, or the like.
        """
        with _writing(self._path):
            self._file.write(b"".join(_line(row, judgement) for row, judgement in rows))
            self._file.flush()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes the summary: from now on the file is finished, and nobody writes to it again."""
        with _writing(self._path):
            _write_json(summary_path(self._path), summary)
            state_path(self._path).unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the file."""
        with _writing(self._path):
            self._file.close()


def check_output(path: Path, settings: Mapping[str, Any]) -> None:
    """Asserts that a file can be begun or taken up; nothing is made or changed.

    Raises:
        UserError: as `Output` does.
    """
    _check_finished(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file that verdicts can be written to")
    if path.exists() and path.stat().st_size:
        Output(path, settings).close()


def _line(row: Row, judgement: Judgement) -> bytes:
    """The row as it stands in the input, to the byte, with the judgement's fields before its closing brace."""
    return row.line[:-1] + b"," + orjson.dumps(judgement.record())[1:] + b"\n"


def _judgement(line: bytes, row: Row) -> Judgement | None:
    """The judgement in a line of the output; `None` where that is not the row's."""
    given = row.line[:-1] + b","
    if not line.startswith(given):
        return None
    try:
        return Judgement.from_record(orjson.loads(b"{" + line[len(given) :]))
    except ValueError:
        return None


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path}: another process is writing it; wait for it, or choose another output") from None


def _check_finished(path: Path) -> None:
    if summary_path(path).exists():
        raise UserError(
            f"{path} is finished ({summary_path(path).name} lies beside it) and is never overwritten; choose another "
            "output"
        )


def _check_begun_with(path: Path, settings: Mapping[str, Any]) -> None:
    try:
        state = json.loads(state_path(path).read_text())
    except FileNotFoundError:
        raise UserError(
            f"{path} exists already, and is not an unfinished file of verdicts; choose another output"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{state_path(path)} cannot be read: {error}; choose another output") from error
    if state.get("version") != VERSION:
        raise UserError(f"{path} was begun by another version of this program; choose another output")
    # As JSON has them: tuples are lists there.
    now = json.loads(json.dumps(settings))
    key = next(_differences(state.get("settings"), now, ()), None)
    if key is not None:
        name = ".".join(key)
        was, is_now = (json.dumps(_at(tree, key)) for tree in (state["settings"], now))
        raise UserError(
            f"{path} was begun with {name}={was}, not {is_now}; finish it with the same settings, or choose another "
            "output"
        )


def _differences(first: Any, second: Any, key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where two trees differ; a key that only one has differs where it hangs."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in [*first, *(name for name in second if name not in first)]:
            yield from _differences(first.get(name), second.get(name), (*key, name))
    elif first != second:
        yield key


def _at(tree: Any, key: tuple[str, ...]) -> Any:
    for name in key:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
