"""Reads an offline W&B run back: LevelDB log blocks of `Record` messages after a header of seven bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, 7
FULL, LAST = 1, 4


def records(file: Path) -> Iterator[Any]:
    data = file.read_bytes()
    assert data.startswith(b":W&B")
    position, message = HEADER, b""
    while position < len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        position += HEADER
        message += data[position : position + length]
        position += length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(message)
            message = b""
            yield record


def history(file: Path) -> list[dict[str, Any]]:
    """The rows of a run."""
    return [_row(record.history) for record in records(file) if record.WhichOneof("record_type") == "history"]


def _row(step: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in step.item:
        if item.key or len(item.nested_key) == 1:
            row[item.key or item.nested_key[0]] = json.loads(item.value_json)
        else:
            row.setdefault(item.nested_key[0], {})[item.nested_key[1]] = json.loads(item.value_json)
    return row
