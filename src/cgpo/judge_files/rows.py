"""A file of responses, one JSON object a line, and the verdicts that are added to each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import orjson

from cgpo.data.files import preview
from cgpo.errors import UserError
from cgpo.protocols import JudgePanel
from cgpo.types import Outcome, Prompt, Sample, Verdict

FIELDS = ("verdicts", "satisfied")
"""The fields that are added to a row."""


@dataclass(frozen=True)
class RowVerdicts:
    """The verdicts on one response.

    Attributes:
        verdicts: each judge's verdict.
        seconds: each judge's wall-clock seconds over all rows of the call, divided by the number of rows.
        satisfied: whether every applicable judge is satisfied; `None` if that is undecided.
    """

    verdicts: Mapping[str, Verdict]
    seconds: Mapping[str, float]
    satisfied: bool | None

    def as_fields(self) -> dict[str, Any]:
        """Returns the fields that are added to the row."""
        verdicts = {
            name: {"outcome": str(verdict.outcome), "reason": verdict.reason, "seconds": self.seconds[name]}
            for name, verdict in self.verdicts.items()
        }
        return {"verdicts": verdicts, "satisfied": self.satisfied}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Reads the fields that `as_fields` returned.

        Raises:
            ValueError: these are other fields.
        """
        try:
            verdicts, satisfied = fields["verdicts"], fields["satisfied"]
            if len(fields) != len(FIELDS) or satisfied not in (True, False, None):
                raise ValueError
            return cls(
                {name: Verdict(Outcome(v["outcome"]), str(v["reason"])) for name, v in verdicts.items()},
                {name: float(v["seconds"]) for name, v in verdicts.items()},
                satisfied,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError("these are not the fields of verdicts") from error


def judge_samples(panel: JudgePanel, samples: Sequence[Sample]) -> list[RowVerdicts]:
    """Judges samples and returns the verdicts on each, in order."""
    found = panel.judge(samples)
    seconds = {name: round(total / max(len(samples), 1), 9) for name, total in found.seconds.items()}
    return [
        RowVerdicts(
            verdicts={name: verdicts[i] for name, verdicts in found.by_judge.items()},
            seconds=seconds,
            satisfied=bool(found.satisfied[i]) if found.decided[i] else None,
        )
        for i in range(len(samples))
    ]


@dataclass(frozen=True)
class ResponseRow:
    """A response to be judged.

    Attributes:
        line: the row as it is in the file, without white space around it.
        sample: what the judges read.
        label: whether the response is satisfied according to a person; `None` without a label.
    """

    line: bytes
    sample: Sample
    label: bool | None


def read_responses(path: Path) -> Iterator[ResponseRow]:
    """Reads rows one at a time, skipping blank lines.

    A row has a `prompt`, a `response`, `metadata` for the judges and perhaps a `label`; other fields are ignored.

    Raises:
        UserError: the file cannot be read, or a row is not as it should be; the message names its line and field.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file")
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                stripped = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
                if stripped:
                    yield _row(stripped, f"{path} line {number}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def parse_sample(fields: Mapping[str, Any], place: str) -> Sample:
    """Reads the sample of a row.

    Args:
        fields: the fields of the row.
        place: where the row is, for messages and as the prompt's key.

    Raises:
        UserError: a field is missing, or has a wrong value.
    """
    taken = [name for name in FIELDS if name in fields]
    if taken:
        raise UserError(f"{place}: field '{taken[0]}' is what judging adds; drop it from the input, or rename it")
    metadata: Any = fields.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise UserError(f"{place}: field 'metadata' must be an object, found {preview(fields['metadata'])}")
    prompt = Prompt(place, _text(fields, "prompt", place), metadata=fields.get("metadata") or {})
    return Sample(prompt, _text(fields, "response", place))


def parse_label(fields: Mapping[str, Any], place: str) -> bool | None:
    """Reads the label of a row, if it has one.

    Raises:
        UserError: it is not true, false or null.
    """
    label = fields.get("label")
    if label is not None and not isinstance(label, bool):
        raise UserError(
            f"{place}: field 'label' must be true (satisfied), false (violated) or null, found {preview(label)}"
        )
    return label


def _row(line: bytes, place: str) -> ResponseRow:
    try:
        fields: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{place}: expected an object with named fields, found {preview(fields)}")
    row = cast("dict[str, Any]", fields)
    return ResponseRow(line, parse_sample(row, place), parse_label(row, place))


def _text(fields: Mapping[str, Any], name: str, place: str) -> str:
    if name not in fields:
        found = ", ".join(map(str, fields)) or "nothing"
        raise UserError(f"{place}: no field '{name}'; a row needs prompt and response, found: {found}")
    if not isinstance(fields[name], str):
        raise UserError(f"{place}: field '{name}' must be a text, found {preview(fields[name])}")
    return fields[name]
