"""Judging responses from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, cast

import orjson
from annotated_types import Ge
from rich.console import RenderableType

from cgpo.api.calls import check_call, on_screen
from cgpo.api.results import Result
from cgpo.errors import UserError
from cgpo.files import read_json_lines
from cgpo.judge_files.output import VerdictFile, check_verdict_file
from cgpo.judge_files.rows import ResponseRow, RowVerdicts, judge_samples, parse_label, parse_sample, read_responses
from cgpo.judge_files.streaming import CHUNK, judge_file
from cgpo.judge_files.summary import VerdictCounts, summarise
from cgpo.judge_files.tables import summary_view
from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.progress import bar
from cgpo.tasks.task import Bind, Judges, named_judges


class Judgements(Result):
    """What judges said of responses: counts and rates of each judge, how far they agree, how right they are by labels.

    Args:
        content: the summary.
        rows: the rows with their verdicts, or the file that has them.
    """

    def __init__(self, content: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] | Path) -> None:
        super().__init__(content)
        self._rows = rows

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every row, with `verdicts` (judge → outcome, reason and seconds) and `satisfied` added."""
        found = read_json_lines(self._rows) if isinstance(self._rows, Path) else self._rows
        return [dict(row) for row in found]

    def view(self) -> RenderableType:
        """What a person is shown, as rich draws it."""
        return summary_view(self)


def judge(
    rows: str | PathLike[str] | Iterable[Mapping[str, Any]],
    judges: Judges,
    output: str | PathLike[str] | None = None,
    *,
    panel: Bind | None = None,
    chunk: Annotated[int, Ge(1)] = CHUNK,
    progress: bool = True,
) -> Judgements:
    """Judges responses of any model.

    Rows are mappings with `prompt` and `response`, `metadata` that judges read, and perhaps a `label` that says whether
    the response is satisfied. All are looked at before the first is judged.

    Example:
        ```python
        import cgpo

        rows = [
            {"prompt": "2 + 3?", "response": "The final answer is 5", "metadata": {"answer": "5"}},
            {"prompt": "2 + 2?", "response": "The final answer is 5", "metadata": {"answer": "4"}},
        ]
        found = cgpo.judge(rows, [cgpo.MathJudge()])
        assert [row["satisfied"] for row in found.rows] == [True, False]
        print(found)
        ```

    Args:
        rows: a JSONL file, or mappings.
        judges: a judge, a list, or a mapping from names.
        output: a file that the rows go to with their verdicts; a summary is written beside it. A file that was left
            unfinished is taken up again, one that is finished never overwritten.
        panel: makes a `cgpo.Panel` of judges by name, where its settings are to be other than the default ones.
        chunk: rows that are judged together, and the most that an interruption loses.
        progress: whether bars are shown.

    Returns:
        The summary, which shows itself as a table; `rows` has every row with its verdicts.

    Raises:
        UserError: a row, a judge or the output is not what it should be.
    """
    check_call(judge, {"chunk": chunk, "progress": progress})
    named = named_judges("judge.judges", judges)
    if not named:
        raise UserError("judge.judges: give at least one judge")
    bound = (panel or Panel)(named)
    from_file = isinstance(rows, str | PathLike)
    with on_screen(progress):
        if from_file and output is not None:
            summary = judge_file(Path(rows), Path(output), named, panel=bound, chunk=chunk)
            return Judgements(summary, Path(output))
        given = list(read_responses(Path(rows))) if from_file else list(_rows(rows))
        if not given:
            raise UserError(f"judge.rows: there are no rows in {rows if from_file else 'it'}")
        for of_kind in named.values():
            for row in given:
                of_kind.check_prompt(row.sample.prompt)
        facts = {"input": str(rows) if from_file else "rows in memory", "settings": {"judges": _classes(named)}}
        return _judged(given, bound, None if output is None else Path(output), chunk, facts)


def _judged(
    rows: Sequence[ResponseRow], panel: Panel, output: Path | None, chunk: int, facts: Mapping[str, Any]
) -> Judgements:
    if output is not None:
        check_verdict_file(output, facts["settings"])
    tally, known = VerdictCounts(), list[tuple[ResponseRow, RowVerdicts]]()
    opened = None if output is None else VerdictFile(output, facts["settings"])
    with nullcontext() if opened is None else closing(opened):
        waiting = iter(rows)
        if opened is not None:
            known = list(opened.resume(waiting))
        with bar("judging", len(rows), len(known)) as work:
            while batch := list(islice(waiting, chunk)):
                done = list(zip(batch, judge_samples(panel, [row.sample for row in batch]), strict=True))
                if opened is not None:
                    opened.append(done)
                known += done
                work.advance(len(done))
        tally.add(known)
        summary = summarise(tally, **facts, **({} if output is None else {"output": str(output)}))
        if opened is not None:
            opened.finish(summary)
    return Judgements(summary, [{**orjson.loads(row.line), **judgement.as_fields()} for row, judgement in known])


def _rows(rows: Iterable[Any]) -> Iterator[ResponseRow]:
    for number, row in enumerate(rows, start=1):
        place = f"row {number}"
        if not isinstance(row, Mapping):
            raise UserError(f"judge.rows: {place} is {row!r}: it must be a mapping with prompt and response")
        fields = dict(cast(Mapping[str, Any], row))
        try:
            line = orjson.dumps(fields)
        except TypeError as error:
            raise UserError(f"{place}: it cannot be written as JSON: {error}") from error
        yield ResponseRow(line, parse_sample(fields, place), parse_label(fields, place))


def _classes(judges: Mapping[str, Judge]) -> dict[str, str]:
    return {name: f"{type(judge).__module__}.{type(judge).__qualname__}" for name, judge in judges.items()}
