"""Rows of formats whose readers are optional: Parquet (`pyarrow`) and the `datasets` library."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cgpo.data.rows import Row, make_row
from cgpo.errors import UserError


def optional_module(name: str, purpose: str) -> ModuleType:
    """Imports a module that the core installation lacks.

    Raises:
        UserError: it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UserError(f"{purpose} needs {package}: pip install 'cgpo[data]'") from error


def read_parquet(file: Path, source: str) -> Iterator[Row]:
    """Rows of a Parquet file, a batch of them in memory at a time.

    Raises:
        UserError: pyarrow is missing, or the file is not Parquet.
    """
    parquet = optional_module("pyarrow.parquet", f"reading {file}")
    number = 0
    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            for fields in batch.to_pylist():
                number += 1
                yield make_row(source, number, f"{file} row {number}", fields)
    except (OSError, importlib.import_module("pyarrow").ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise UserError(f"{file}: cannot be read as Parquet: {first_line}") from error


def read_dataset(path: str, split: str, subset: str | None) -> Iterator[Row]:
    """Rows of one split of a data set, as `datasets.load_dataset` finds it.

    Raises:
        UserError: `datasets` is missing, or cannot find or load the data set.
    """
    datasets = optional_module("datasets", f"loading the data set '{path}'")
    try:
        rows = datasets.load_dataset(path, subset, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        first_line = str(error).partition("\n")[0]
        raise UserError(f"data set '{path}', split '{split}': {first_line or type(error).__name__}") from error
    name = "/".join(part for part in (path, subset, split) if part)
    for number, fields in enumerate(rows, start=1):
        yield make_row(name, number, f"data set {name} row {number}", fields)
