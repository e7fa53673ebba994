"""`cgpo report`: runs as one HTML page."""

from __future__ import annotations

from pathlib import Path

from cgpo.cli.verb import Call, Verb
from cgpo.progress import say


def run(call: Call) -> None:
    """Writes the report of some runs."""
    from cgpo.reporting import content, named_runs, page, write_page
    from cgpo.reporting.page import check_output

    config = call.config
    output = Path(config.output)
    check_output(output, config.overwrite)
    runs = [content(name, run, config.samples) for name, run in named_runs(list(config.runs)).items()]
    write_page(output, page(runs, " · ".join(run["name"] for run in runs)), config.overwrite)
    for run in runs:
        if run["left_out"]:
            say(f"{run['name']}: {run['left_out']} older samples are left out; samples=N shows more")
    say(f"{output}: {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {output.stat().st_size / 1e6:.1f} MB; open it")


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
