"""A file of responses: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from cgpo.data.files import preview
from cgpo.errors import UserError
from cgpo.protocols import JudgePanel
from cgpo.types import Outcome, Prompt, Sample, Verdict

FIELDS = ("verdicts", "satisfied")
"""What is added to a row."""


@dataclass(frozen=True)
class Judgement:
    """The verdicts on one response.

    Attributes:
        verdicts: by judge.
        seconds: by judge: the row's share of the wall-clock seconds that the judge took over all rows of the call.
        satisfied: whether every applicable judge is satisfied; `None` where that is undecided.
    """

    verdicts: Mapping[str, Verdict]
    seconds: Mapping[str, float]
    satisfied: bool | None

    def record(self) -> dict[str, Any]:
        """The fields that are added to the row."""
        verdicts = {
            name: {"outcome": str(verdict.outcome), "reason": verdict.reason, "seconds": self.seconds[name]}
            for name, verdict in self.verdicts.items()
        }
        return {"verdicts": verdicts, "satisfied": self.satisfied}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The judgement of which these are the fields.

        Raises:
            ValueError: they are not the fields of a judgement.
        """
        try:
            verdicts, satisfied = record["verdicts"], record["satisfied"]
            if len(record) != len(FIELDS) or satisfied not in (True, False, None):
                raise ValueError
            return cls(
                {name: Verdict(Outcome(v["outcome"]), str(v["reason"])) for name, v in verdicts.items()},
                {name: float(v["seconds"]) for name, v in verdicts.items()},
                satisfied,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError("these are not the fields of a judgement") from error


def judge_samples(panel: JudgePanel, samples: Sequence[Sample]) -> list[Judgement]:
    """One judgement a sample, in order."""
    said = panel.judge(samples)
    shares = {name: round(seconds / max(len(samples), 1), 9) for name, seconds in said.seconds.items()}
    concluded = zip(said.satisfied.tolist(), said.decided.tolist(), strict=True)
    return [
        Judgement({name: verdicts[i] for name, verdicts in said.by_judge.items()}, shares, good if decided else None)
        for i, (good, decided) in enumerate(concluded)
    ]


@dataclass(frozen=True)
class Row:
    """A response to be judged.

    Attributes:
        line: the row as it stands in the file, without the blanks around it.
        sample: what the judges read of it.
        label: what a person says of the response: whether it is satisfied; `None` where nobody says.
    """

    line: bytes
    sample: Sample
    label: bool | None


def read_rows(path: Path) -> Iterator[Row]:
    """Reads rows one at a time; blank lines are left out.

    A row has a `prompt`, a `response`, `metadata` for the judges and perhaps a `label`; other fields are let be.

    Raises:
        UserError: the file cannot be read, or a row is not what it should be (names the line and the field).
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


def sample_of(fields: Mapping[str, Any], place: str) -> Sample:
    """What the judges read of a row.

    Args:
        fields: of the row.
        place: where the row is, for complaints and as the prompt's key.

    Raises:
        UserError: a field is missing, or is not what it should be.
    """
    taken = [name for name in FIELDS if name in fields]
    if taken:
        raise UserError(f"{place}: field '{taken[0]}' is what judging adds; drop it from the input, or rename it")
    metadata = fields.get("metadata")
    if not isinstance(metadata, Mapping | None):
        raise UserError(f"{place}: field 'metadata' must be an object, found {preview(metadata)}")
    prompt = Prompt(place, _text(fields, "prompt", place), metadata=metadata or {})
    return Sample(prompt, _text(fields, "response", place))


def label_of(fields: Mapping[str, Any], place: str) -> bool | None:
    """The row's label.

    Raises:
        UserError: it is neither true, false nor null.
    """
    label = fields.get("label")
    if label is not None and not isinstance(label, bool):
        raise UserError(
            f"{place}: field 'label' must be true (satisfied), false (violated) or null, found {preview(label)}"
        )
    return label


def _row(line: bytes, place: str) -> Row:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{place}: expected an object with named fields, found {preview(fields)}")
    return Row(line, sample_of(fields, place), label_of(fields, place))


def _text(fields: Mapping[str, Any], name: str, place: str) -> str:
    if name not in fields:
        found = ", ".join(map(str, fields)) or "nothing"
        raise UserError(f"{place}: no field '{name}'; a row needs prompt and response, found: {found}")
    if not isinstance(fields[name], str):
        raise UserError(f"{place}: field '{name}' must be a text, found {preview(fields[name])}")
    return fields[name]
