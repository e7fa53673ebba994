"""Judges a file of responses from its first row to its last, one chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cgpo.errors import UserError
from cgpo.judge_files.output import VerdictFile, check_verdict_file
from cgpo.judge_files.rows import judge_samples, parse_sample, read_responses
from cgpo.judge_files.summary import VerdictCounts, summarise
from cgpo.judges.base import Judge, check_judge
from cgpo.judges.panel.panel import Panel
from cgpo.progress import bar
from cgpo.protocols import JudgePanel

T = TypeVar("T")
CHUNK = 128
"""The number of rows that are judged together, and written together."""


def judge_file(
    source: str | Path,
    output: str | Path,
    judges: Mapping[str, Judge],
    *,
    panel: JudgePanel | None = None,
    settings: Mapping[str, Any] | None = None,
    chunk: int = CHUNK,
) -> dict[str, Any]:
    """Judges every row of a JSONL file, using an amount of memory that does not depend on its length.

    The whole file is checked before the first row is judged. The output has the same rows in the same order, each with
    `verdicts` and `satisfied` added. An unfinished output is resumed; a finished one is never overwritten.

    Args:
        source: the file, with rows of `prompt`, `response`, `metadata`, perhaps `label`, and any other fields.
        output: the file of verdicts; `<output>.summary.json` is written beside it at the end.
        judges: the judges by name.
        panel: the panel that asks them; a `Panel` with its defaults if it is left out.
        settings: what the verdicts depend on, ready for JSON; an unfinished output that was begun with other settings
            is refused. By default these are the judges' names and classes.
        chunk: the number of rows that are judged together, and written together.

    Returns:
        The summary.

    Raises:
        UserError: a row, or the output, is not as it should be.
    """
    source, output = Path(source), Path(output)
    settings = _classes(judges) if settings is None else settings
    panel = panel or Panel(judges)
    check_verdict_file(output, settings)
    count = _check_rows(source, judges)
    counts = VerdictCounts()
    rows = read_responses(source)
    file = VerdictFile(output, settings)
    try:
        with bar(f"reading {output.name}", count) as work:
            for done in _chunks(file.resume(rows), CHUNK):
                counts.add(done)
                work.advance(len(done))
        with bar(f"judging {source.name}", count, counts.rows) as work:
            for batch in _chunks(rows, chunk):
                verdicts = judge_samples(panel, [row.sample for row in batch])
                done = list(zip(batch, verdicts, strict=True))
                file.append(done)
                counts.add(done)
                work.advance(len(done))
        summary = summarise(counts, input=str(source), output=str(output), settings=settings)
        file.finish(summary)
    finally:
        file.close()
    return summary


def judge_rows(
    rows: Iterable[Mapping[str, Any]], judges: Mapping[str, Judge], *, chunk: int = CHUNK
) -> Iterator[dict[str, Any]]:
    """Judges rows in memory and yields each with `verdicts` and `satisfied` added, in order, as they are judged.

    Args:
        rows: rows like those of `judge_file`; labels are ignored.
        judges: the judges by name.
        chunk: the number of rows that are judged together.

    Raises:
        UserError: a row is not as it should be.
    """
    panel = Panel(judges)
    for batch in _chunks(enumerate(rows, start=1), chunk):
        samples = [parse_sample(row, f"row {number}") for number, row in batch]
        for (_, row), verdicts in zip(batch, judge_samples(panel, samples), strict=True):
            yield {**row, **verdicts.as_fields()}


def _check_rows(source: Path, judges: Mapping[str, Judge]) -> int:
    """Checks that all rows can be read, also by the judges, and returns their number."""
    checks = [check_judge(f"judges.{name}", judge).check_prompt for name, judge in judges.items()]
    count = 0
    with bar(f"reading {source.name}", None) as work:
        for batch in _chunks(read_responses(source), CHUNK):
            for row in batch:
                for check in checks:
                    check(row.sample.prompt)
            count += len(batch)
            work.advance(len(batch))
    if not count:
        raise UserError(f"{source}: there are no rows in it")
    return count


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _classes(judges: Mapping[str, Judge]) -> dict[str, Any]:
    return {"judges": {name: f"{type(j).__module__}.{type(j).__qualname__}" for name, j in judges.items()}}
