"""A standard benchmark: which of the harness's tasks it is, and which local file can replace the hub's data."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cgpo.data.files import Row, read_rows
from cgpo.errors import UserError

Document = dict[str, Any]
"""A row with the columns that the harness's task reads."""


@dataclass(frozen=True)
class Documents:
    """The documents of a benchmark that come from a file.

    Attributes:
        file: the file.
        rows: the documents, at least one.
        left_out: a line about rows that were left out; empty if there are none.
    """

    file: Path
    rows: Sequence[Document]
    left_out: str = ""


Reshape = Callable[[Sequence[Row]], tuple[list[Document], str]]
"""Turns a file's rows into documents, and returns a line about rows that were left out."""


@dataclass(frozen=True)
class Benchmark:
    """A standard benchmark.

    Attributes:
        tasks: the harness's tasks, or groups of tasks, on the hub's data.
        file: a file with the same data, relative to the folder of data.
        reshape: the dotted path of a function of the file's rows, if their columns are not the task's own.
        local_tasks: the tasks that the file serves, if they are not `tasks`.
        fewshot_from_rows: whether few-shot examples are other rows of the file; otherwise the task has its own.

    Raises:
        UserError: a value has the wrong type, or the function cannot be imported.
    """

    tasks: Sequence[str]
    file: str
    reshape: str | None = None
    local_tasks: Sequence[str] | None = None
    fewshot_from_rows: bool = True
    _reshape: Reshape = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for key in ("tasks", "local_tasks"):
            names: Any = getattr(self, key)
            if names is not None and (
                isinstance(names, str) or not names or not all(isinstance(n, str) for n in names)
            ):
                raise UserError(f"{key} is {names!r}: it must be a list of the harness's names, such as [gsm8k]")
        object.__setattr__(self, "_reshape", unchanged if self.reshape is None else _function(self.reshape))

    @property
    def served(self) -> Sequence[str]:
        """The harness's tasks that the file serves."""
        return self.tasks if self.local_tasks is None else self.local_tasks

    def read(self, data_dir: str) -> Documents:
        """Reads the documents from the file.

        Args:
            data_dir: the folder of data.

        Raises:
            UserError: the file is missing or empty, or a row does not have what the task needs.
        """
        file = Path(data_dir) / self.file
        rows = list(read_rows(file))
        documents, left_out = self._reshape(rows)
        if not documents:
            raise UserError(f"{file}: none of its {len(rows)} rows can be asked{f': {left_out}' if left_out else ''}")
        return Documents(file, documents, left_out)


def unchanged(rows: Sequence[Row]) -> tuple[list[Document], str]:
    """Returns rows whose columns are the task's own."""
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
