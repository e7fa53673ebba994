"""Judges whose verdicts a test can tell beforehand, and files of rows."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.types import Outcome, Prompt, Sample, Verdict


class Says(Judge):
    """Says what the row's metadata tell it to, under its own name; not applicable where they do not."""

    def __init__(self, name: str, seconds: float = 0.0) -> None:
        self._name = name
        self._seconds = seconds

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        time.sleep(self._seconds)
        return [
            Verdict(Outcome(sample.prompt.metadata.get(self._name, "not_applicable")), sample.response)
            for sample in samples
        ]

    def check_prompt(self, prompt: Prompt) -> None:
        if prompt.metadata.get(self._name) == "nonsense":
            raise UserError(f"row {prompt.key}: metadata '{self._name}' is 'nonsense'")


def row(number: int, label: bool | None = None, **metadata: str) -> dict[str, Any]:
    return {"id": number, "prompt": f"p{number}", "response": f"r{number}", "metadata": metadata, "label": label}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(fields) + "\n" for fields in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def without_seconds(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of verdicts, without what a clock said."""
    rows = read(path)
    for fields in rows:
        for verdict in fields["verdicts"].values():
            assert verdict.pop("seconds") >= 0
    return rows
