"""Caches verdicts in memory, or in a file that several processes may share."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from annotated_types import Ge, Gt

from cgpo.bounds import Unit, check_arguments
from cgpo.errors import UserError
from cgpo.types import Outcome, Sample, Verdict


@dataclass(frozen=True)
class DistinctSamples:
    """Samples without repetition.

    Attributes:
        samples: each content once, in the order of first appearance.
        digests: the digest of each; `None` if its metadata are no JSON, so that only the same object counts as equal.
        index: for each of the given samples the index of its content among these.
    """

    samples: list[Sample]
    digests: list[bytes | None]
    index: list[int]


def distinct_samples(samples: Sequence[Sample]) -> DistinctSamples:
    """Leaves out samples whose content has occurred already."""
    places: dict[object, int] = {}
    found = DistinctSamples([], [], [])
    for sample in samples:
        digest = sample_digest(sample)
        key = digest if digest is not None else (id(sample.prompt), sample.response)
        place = places.setdefault(key, len(found.samples))
        if place == len(found.samples):
            found.samples.append(sample)
            found.digests.append(digest)
        found.index.append(place)
    return found


def sample_digest(sample: Sample) -> bytes | None:
    """Returns a digest of all that a judge may read: the response, and the prompt without its key.

    It is `None` if the metadata cannot be written as JSON.
    """
    prompt = sample.prompt
    history = [dict(turn) for turn in prompt.history]
    try:
        content = [prompt.text, prompt.response, sample.response, history, dict(prompt.metadata)]
        text = json.dumps(content, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode()).digest()


T = TypeVar("T")
_log = logging.getLogger(__name__)
_APPLICATION_ID = 0x6367706F
"""The `PRAGMA application_id` of the files."""
_SCHEMA = (
    "CREATE TABLE verdicts (key BLOB PRIMARY KEY, outcome TEXT NOT NULL, reason BLOB NOT NULL, used INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "CREATE INDEX by_use ON verdicts (used)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)


class VerdictCache:
    """A bounded table of verdicts, from which the least recently used ones are dropped first.

    A process that is killed leaves the file as it was after its last complete call. If a file cannot be used for a
    while (locked for long, no room on the disk), verdicts are made anew, which is logged once.

    Args:
        size: the most verdicts that are kept.
        path: a file on a local disk, made if it does not exist; `None` keeps them in memory.
        timeout: the seconds to wait for another process.

    Raises:
        UserError: an argument is out of range, or the file cannot be made or is something else.
    """

    def __init__(
        self,
        size: Annotated[int, Ge(1), Unit("verdicts")] = 100_000,
        path: str | None = None,
        timeout: Annotated[float, Gt(0), Unit("seconds")] = 10.0,
    ) -> None:
        check_arguments(VerdictCache, locals())
        self._size = size
        self._path = path
        self._lock = threading.Lock()
        self._warned = False
        file = ":memory:" if path is None else str(Path(path).expanduser())
        try:
            if path is not None:
                Path(file).parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, timeout=timeout, isolation_level=None, check_same_thread=False)
            _prepare(self._database)
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"panel.cache.path: {path} cannot be used as a cache of verdicts: {error}") from error

    def lookup(self, keys: Sequence[bytes]) -> dict[bytes, Verdict]:
        """Returns the known verdicts among some keys, which count as used now."""

        def read(database: sqlite3.Connection) -> dict[bytes, Verdict]:
            found: dict[bytes, Verdict] = {}
            for key in dict.fromkeys(keys):
                row = database.execute("SELECT outcome, reason FROM verdicts WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = Verdict(Outcome(row[0]), row[1].decode(errors="surrogatepass"))
            now = time.time_ns()
            database.executemany("UPDATE verdicts SET used = ? WHERE key = ?", [(now, key) for key in found])
            return found

        return (self._transaction(read) or {}) if keys else {}

    def store(self, verdicts: Mapping[bytes, Verdict]) -> None:
        """Stores verdicts, except for undecided ones, since a judge that failed is asked again."""
        now = time.time_ns()
        rows = [
            (key, verdict.outcome.value, verdict.reason.encode(errors="surrogatepass"), now)
            for key, verdict in verdicts.items()
            if verdict.outcome is not Outcome.UNDECIDED
        ]

        def write(database: sqlite3.Connection) -> None:
            database.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", rows)
            self._forget(database)

        if rows:
            self._transaction(write)

    def state_dict(self) -> dict[str, Any]:
        """Returns all verdicts with the order of their use, for a checkpoint; nothing if a file keeps them."""
        if self._path is not None:
            return {}
        with self._lock:
            return {"database": torch.frombuffer(bytearray(self._database.serialize()), dtype=torch.uint8)}

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the verdicts of the caches of one process, or of several.

        Raises:
            UserError: a state is damaged.
        """
        for state in states:
            if "database" in state:
                try:
                    self._take_over(state["database"].numpy().tobytes())
                except sqlite3.Error as error:
                    raise UserError(f"the checkpoint's verdicts cannot be read: {error}") from error

    def _take_over(self, image: bytes) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")) as other:
            other.deserialize(image)
            rows = other.execute("SELECT key, outcome, reason, used FROM verdicts").fetchall()

        def write(database: sqlite3.Connection) -> None:
            latest = "ON CONFLICT (key) DO UPDATE SET used = MAX(used, excluded.used)"
            database.executemany(f"INSERT INTO verdicts VALUES (?, ?, ?, ?) {latest}", rows)
            self._forget(database)

        self._transaction(write)

    def _forget(self, database: sqlite3.Connection) -> None:
        """Drops the least recently used verdicts beyond the size."""
        (surplus,) = database.execute("SELECT COUNT(*) - ? FROM verdicts", (self._size,)).fetchone()
        if surplus > 0:
            oldest = "SELECT key FROM verdicts ORDER BY used LIMIT ?"
            database.execute(f"DELETE FROM verdicts WHERE key IN ({oldest})", (surplus,))

    def __len__(self) -> int:
        """Returns the number of verdicts."""
        return self._transaction(lambda d: int(d.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0])) or 0

    def close(self) -> None:
        """Closes the file; verdicts in memory are lost."""
        with self._lock:
            self._database.close()

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Returns the result of some work on the database, or `None` if the file cannot be used."""
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                result = work(self._database)
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                if not self._warned:
                    _log.warning("the cache of verdicts cannot be used: %s", error)
                    self._warned = True
                return None
        return result


def _prepare(database: sqlite3.Connection) -> None:
    """Makes the table if there is none yet.

    Raises:
        sqlite3.Error: the file is something else.
    """
    database.execute("BEGIN IMMEDIATE")
    (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    if tables and application != _APPLICATION_ID:
        raise sqlite3.DatabaseError("it is another program's database")
    if not tables:
        for statement in _SCHEMA:
            database.execute(statement)
    database.execute("COMMIT")
    # A commit then does not wait for the disk: a kill loses nothing, a power cut perhaps the last verdicts.
    with contextlib.suppress(sqlite3.OperationalError):  # another process is doing it right now
        database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
