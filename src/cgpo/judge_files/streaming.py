"""Judging a file of responses from its first row to its last, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cgpo.errors import UserError
from cgpo.judge_files.output import Output, check_output
from cgpo.judge_files.rows import judge_samples, read_rows, sample_of
from cgpo.judge_files.summary import Tally, summarise
from cgpo.judges.base import Judge, check_judge
from cgpo.judges.panel.panel import Panel
from cgpo.progress import bar
from cgpo.protocols import JudgePanel

T = TypeVar("T")
CHUNK = 128
"""Rows that are judged together, and are in the output together."""


def judge_file(
    source: str | Path,
    output: str | Path,
    judges: Mapping[str, Judge],
    *,
    panel: JudgePanel | None = None,
    settings: Mapping[str, Any] | None = None,
    chunk: int = CHUNK,
) -> dict[str, Any]:
    """Judges every row of a JSONL file, in an amount of memory that does not depend on its length.

    The whole file is checked before the first row is judged. The output has the same rows in the same order, each with
    `verdicts` and `satisfied` added. Where it was left unfinished it is taken up again; finished, it is never
    overwritten.

    Args:
        source: the file: rows of `prompt`, `response`, `metadata` and perhaps `label`, and whatever else they hold.
        output: the file of verdicts; `<output>.summary.json` is written beside it at the end.
        judges: by name.
        panel: how they are asked, if not by a plain `Panel`.
        settings: what the verdicts depend on, ready for JSON: an unfinished output that was begun with others is
            refused. By default the judges' names and classes.
        chunk: rows that are judged together, and stand in the output together.

    Returns:
        The summary.

    Raises:
        UserError: a row, or the output, is not what it should be.
    """
    source, output = Path(source), Path(output)
    settings = _classes(judges) if settings is None else settings
    panel = panel or Panel(judges)
    check_output(output, settings)
    count = _checked(source, judges)
    tally = Tally()
    rows = read_rows(source)
    file = Output(output, settings)
    try:
        with bar(f"reading {output.name}", count) as work:
            for done in _chunks(file.take_up(rows), CHUNK):
                tally.add(done)
                work.advance(len(done))
        with bar(f"judging {source.name}", count, tally.rows) as work:
            for batch in _chunks(rows, chunk):
                judgements = judge_samples(panel, [row.sample for row in batch])
                done = list(zip(batch, judgements, strict=True))
                file.append(done)
                tally.add(done)
                work.advance(len(done))
        summary = summarise(tally, input=str(source), output=str(output), settings=settings)
        file.finish(summary)
    finally:
        file.close()
    return summary


def judge_rows(
    rows: Iterable[Mapping[str, Any]], judges: Mapping[str, Judge], *, chunk: int = CHUNK
) -> Iterator[dict[str, Any]]:
    """The same for rows in memory: each row with `verdicts` and `satisfied` added, in order, as they are judged.

    Args:
        rows: as those of a file; labels are let be.
        judges: by name.
        chunk: rows that are judged together.

    Raises:
        UserError: a row is not what it should be.
    """
    panel = Panel(judges)
    for batch in _chunks(enumerate(rows, start=1), chunk):
        samples = [sample_of(row, f"row {number}") for number, row in batch]
        for (_, row), judgement in zip(batch, judge_samples(panel, samples), strict=True):
            yield {**row, **judgement.record()}


def _checked(source: Path, judges: Mapping[str, Judge]) -> int:
    """The number of rows, once all of them were seen to be readable, by the judges too."""
    checks = [check_judge(f"judges.{name}", judge).check_prompt for name, judge in judges.items()]
    count = 0
    with bar(f"reading {source.name}", None) as work:
        for batch in _chunks(read_rows(source), CHUNK):
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
