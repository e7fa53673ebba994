"""`cgpo report`: runs as one HTML page."""

from __future__ import annotations

from cgpo.cli.verb import Call, Verb
from cgpo.progress import show


def run(call: Call) -> None:
    """Writes the page."""
    from cgpo.config import read_config

    config = read_config(call.config, "report")
    from cgpo.api.reports import report

    page = report(config.runs, config.output, overwrite=config.overwrite, samples=config.samples)
    show(page)


VERB = Verb(
    name="report",
    summary="show runs as one HTML page",
    about=(
        "Writes one HTML page about runs, finished or under way: curves, samples with each judge's verdict, and "
        "runs side by side. It opens from disk and needs no network. A folder stands for all runs below it."
    ),
    examples=(
        ("report runs/2026-01-31/12-00-00", "one run"),
        ("report runs/", "all runs below a folder"),
        ("report runs/a runs/b output=compared.html", "two runs, under another name"),
        ("report runs/a overwrite=true", "the page again"),
        ("report runs/a samples=20000", "with more of its samples"),
    ),
    run=run,
    root="report",
    positional="runs",
    flags={"--output": "output={}", "--overwrite": "overwrite=true", "--samples": "samples={}"},
)
