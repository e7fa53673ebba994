"""Runs as one HTML page, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cgpo.api.calls import check_call
from cgpo.api.results import html_of, text_of
from cgpo.errors import UserError
from cgpo.reporting.content import content, named_runs
from cgpo.reporting.page import check_output, page, write_page
from cgpo.run_files import Run

SAMPLES = 5000
"""Most samples of a run."""


class Report:
    """A page about runs; printed, it is a table of them.

    Attributes:
        path: of the page.
        runs: what it shows, by name: `state`, `optimizer`, `judges`, `updates`, `findings`, and how many older samples
            were `left_out`.
    """

    def __init__(self, path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
        self.path = path
        self.runs = {str(run["name"]): run for run in runs}

    def view(self) -> RenderableType:
        """What a person is shown, as rich draws it."""
        table = Table(title=str(self.path), box=box.SIMPLE_HEAD)
        for column in ("run", "state", "optimizer", "judges", "updates"):
            table.add_column(column, justify="right" if column == "updates" else "left")
        for name, run in self.runs.items():
            judges = ", ".join(run["judges"]) or "none"
            table.add_row(Text(name), run["state"], run["optimizer"] or "", Text(judges), str(run["updates"]))
        left_out = {name: run["left_out"] for name, run in self.runs.items() if run["left_out"]}
        lines = [
            f"{name}: {count} older samples are left out; samples=… shows more" for name, count in left_out.items()
        ]
        return Group(table, *map(Text, lines))

    def __rich__(self) -> RenderableType:
        return self.view()

    def __repr__(self) -> str:
        return text_of(self.view())

    def _repr_html_(self) -> str:
        where = escape(str(self.path))
        return f'<p><a href="{where}" target="_blank">{where}</a></p>{html_of(self.view())}'


def report(
    runs: str | PathLike[str] | Run | Iterable[str | PathLike[str] | Run],
    output: str | PathLike[str] = "report.html",
    *,
    overwrite: bool = False,
    samples: Annotated[int, Ge(0)] = SAMPLES,
) -> Report:
    """Writes one HTML page about runs, finished or under way; it opens from disk and needs no network.

    Example:
        ```python
        import cgpo

        cgpo.report(["runs/first"], output="report.html")
        ```

    Args:
        runs: one or some: folders, or what `fit` returned; a folder of runs stands for all of them.
        output: the page.
        overwrite: whether a page of that name is replaced.
        samples: the most samples of a run, the latest.

    Returns:
        The page.

    Raises:
        UserError: a folder holds no run, a file of one cannot be read, or the page cannot be written.
    """
    check_call(report, {"overwrite": overwrite, "samples": samples})
    listed = [runs] if isinstance(runs, str | PathLike | Run) else list(runs)
    if not listed:
        raise UserError("report.runs: name at least one run")
    path = Path(output)
    check_output(path, overwrite)
    folders = [run.folder if isinstance(run, Run) else Path(run) for run in listed]
    contents = [content(name, run, samples) for name, run in named_runs(folders).items()]
    write_page(path, page(contents, " · ".join(str(run["name"]) for run in contents)), overwrite)
    return Report(path, contents)
