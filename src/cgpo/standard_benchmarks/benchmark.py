"""A standard benchmark: which of the harness's tasks it is, and which local file may stand for its data."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cgpo.data.files import Row, read_rows
from cgpo.errors import UserError

Document = dict[str, Any]
"""A row in the columns that the harness's task reads."""


@dataclass(frozen=True)
class Documents:
    """What a benchmark is asked, where it comes from a file.

    Attributes:
        file: where the rows lie.
        rows: the documents, at least one.
        left_out: what a person should know of rows that are not among them; empty where none is missing.
    """

    file: Path
    rows: Sequence[Document]
    left_out: str = ""


Reshape = Callable[[Sequence[Row]], tuple[list[Document], str]]
"""From a file's rows to documents, and a line on what was left out."""


@dataclass(frozen=True)
class Benchmark:
    """A standard benchmark.

    Attributes:
        tasks: the harness's tasks, or groups of tasks, on the hub's data.
        file: of the same data, under the folder of data.
        reshape: dotted path of a function of the file's rows, where their columns are not the task's own.
        local_tasks: the tasks that the file serves, where they are others.
        fewshot_from_rows: examples are drawn from the file's other rows; the task has its own where this is false.

    Raises:
        UserError: a value is not of its kind, or the function cannot be imported.
    """

    tasks: Sequence[str]
    file: str
    reshape: str | None = None
    local_tasks: Sequence[str] | None = None
    fewshot_from_rows: bool = True
    _reshape: Reshape = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for key in ("tasks", "local_tasks"):
            names = getattr(self, key)
            if names is not None and (
                isinstance(names, str) or not names or not all(isinstance(n, str) for n in names)
            ):
                raise UserError(f"{key} is {names!r}: it must be a list of the harness's names, such as [gsm8k]")
        object.__setattr__(self, "_reshape", as_they_are if self.reshape is None else _function(self.reshape))

    @property
    def served(self) -> Sequence[str]:
        """The tasks that the file serves."""
        return self.tasks if self.local_tasks is None else self.local_tasks

    def read(self, data_dir: str) -> Documents:
        """The documents of the file.

        Raises:
            UserError: the file is missing or empty, or a row is not what the task needs.
        """
        file = Path(data_dir) / self.file
        rows = list(read_rows(file))
        documents, left_out = self._reshape(rows)
        if not documents:
            raise UserError(f"{file}: none of its {len(rows)} rows can be asked{f': {left_out}' if left_out else ''}")
        return Documents(file, documents, left_out)


def as_they_are(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """Rows whose columns are the task's own."""
    return [dict(row.fields) for row in rows], ""


def _function(path: str) -> Reshape:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"reshape: {path!r} cannot be imported: {error}") from error
    if callable(found):
        return cast(Reshape, found)
    raise UserError(f"reshape: {path!r} is not a function")
