"""The file of verdicts: written by one process at a time, and resumed where an interrupted one left it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import orjson

from cgpo.errors import UserError
from cgpo.files import write_atomically
from cgpo.judge_files.rows import ResponseRow, RowVerdicts

VERSION = 1
"""Increased when files that were begun by an earlier version cannot be resumed."""


def summary_path(output: Path) -> Path:
    """Returns the path of the summary, which exists exactly if the file of verdicts is finished."""
    return output.with_name(f"{output.name}.summary.json")


def state_path(output: Path) -> Path:
    """Returns the path of the settings of an unfinished file."""
    return output.with_name(f"{output.name}.state.json")


class VerdictFile:
    """A file of verdicts, locked for this process.

    Args:
        path: the file.
        settings: what the verdicts depend on besides the rows; a file that was begun with other settings is refused.

    Raises:
        UserError: the file is finished, was not written by this command, was begun with other settings, is being
            written by another process, or cannot be written.
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

    def resume(self, rows: Iterator[ResponseRow]) -> Iterator[tuple[ResponseRow, RowVerdicts]]:
        """Yields the rows that were judged earlier, and drops what follows the last complete one.

        Args:
            rows: the input, from which as many rows are read as were judged.

        Raises:
            UserError: a judged row differs from the input's row.
        """
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            row = next(rows, None)
            verdicts = None if row is None else _verdicts(line, row)
            if row is None or verdicts is None:
                where = f"is not {row.sample.prompt.key} with its verdicts" if row else "has no row in the input"
                raise UserError(
                    f"{self._path} line {number} {where}: one of the two files was changed; restore it, or choose "
                    "another output"
                )
            end += len(line)
            yield row, verdicts
        self._file.truncate(end)

    def append(self, rows: list[tuple[ResponseRow, RowVerdicts]]) -> None:
        """Appends rows with their verdicts, in order, and flushes them to the operating system.

        Raises:
            UserError: they cannot be written, for example because the disk is full.
        """
        with _writing(self._path):
            self._file.write(b"".join(_line(row, verdicts) for row, verdicts in rows))
            self._file.flush()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes the summary, which marks the file as finished: it is never written to again."""
        with _writing(self._path):
            _write_json(summary_path(self._path), summary)
            state_path(self._path).unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file and releases the lock."""
        with _writing(self._path):
            self._file.close()


def check_verdict_file(path: Path, settings: Mapping[str, Any]) -> None:
    """Checks that a file can be begun or resumed, without making or changing anything.

    Raises:
        UserError: as for `VerdictFile`.
    """
    _check_finished(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file that verdicts can be written to")
    if path.exists() and path.stat().st_size:
        VerdictFile(path, settings).close()


def _line(row: ResponseRow, verdicts: RowVerdicts) -> bytes:
    """Returns the input's row, unchanged to the byte, with the fields of the verdicts before its closing brace."""
    return row.line[:-1] + b"," + orjson.dumps(verdicts.as_fields())[1:] + b"\n"


def _verdicts(line: bytes, row: ResponseRow) -> RowVerdicts | None:
    """Reads the verdicts in a line of the output; `None` if it is not the line of this row."""
    given = row.line[:-1] + b","
    if not line.startswith(given):
        return None
    try:
        return RowVerdicts.from_fields(orjson.loads(b"{" + line[len(given) :]))
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
    now = json.loads(json.dumps(settings))  # as JSON has them, with lists for tuples
    key = next(_differences(state.get("settings"), now, ()), None)
    if key is not None:
        name = ".".join(key)
        was, is_now = (json.dumps(_at(tree, key)) for tree in (state["settings"], now))
        raise UserError(
            f"{path} was begun with {name}={was}, not {is_now}; finish it with the same settings, or choose another "
            "output"
        )


def _differences(first: Any, second: Any, key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yields the keys at which two trees differ; a key that only one of them has differs."""
    if isinstance(first, dict) and isinstance(second, dict):
        one, other = cast("dict[str, Any]", first), cast("dict[str, Any]", second)
        for name in dict.fromkeys((*one, *other)):
            yield from _differences(one.get(name), other.get(name), (*key, name))
    elif first != second:
        yield key


def _at(tree: Any, key: tuple[str, ...]) -> Any:
    for name in key:
        tree = cast("dict[str, Any]", tree).get(name) if isinstance(tree, dict) else None
    return tree


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
