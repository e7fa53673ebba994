"""`cgpo reproduce`: the paper's comparisons in miniature."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import cgpo
from cgpo.cli.interrupt import resumable
from cgpo.cli.verb import Call, Verb
from cgpo.progress import say

PROGRAM = (sys.executable, "-m", cgpo.__name__)
"""What runs are started by."""
QUICK = "--quick"
PLACES = ("folder", "results", "document")
"""Keys that only say where things are put."""


def run(call: Call) -> None:
    """Makes the runs that are missing, and the document of them all."""
    from cgpo.config import read_config

    config = read_config(call.config, "reproduce")
    from cgpo.reproduction.document import read_remarks, write_document
    from cgpo.reproduction.figures import draw_figures, require_matplotlib
    from cgpo.reproduction.jobs import plan_jobs, read_comparison
    from cgpo.reproduction.results import FILE, collect, load, save
    from cgpo.reproduction.running import Runner

    # The runs' processes are ended, too, when this one is asked to end.
    signal.signal(signal.SIGTERM, _end)
    require_matplotlib()
    results = Path(config.results)
    remarks = read_remarks(results)
    if config.runs:
        comparison, folder = read_comparison(config), Path(config.folder)
        with resumable("runs that have ended are kept, and the same command makes those that are missing"):
            Runner(config.workers, say, PROGRAM).run(plan_jobs(comparison, folder), folder)
        save(collect(comparison, folder, _typed(call)), results)
    if config.document is None:
        return
    found = load(results)
    tuning = load(results / "tuning") if (results / "tuning" / FILE).is_file() else None
    write_document(found, tuning, remarks, draw_figures(found, results), Path(config.document))
    say(f"{config.document}, of the numbers in {results / FILE}")


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _typed(call: Call) -> str:
    """What was typed, but for where things are put."""
    kept = [part for part in call.line if part.partition("=")[0] not in PLACES]
    return " ".join(kept).replace("reproduction=quick", QUICK)


VERB = Verb(
    name="reproduce",
    summary="repeat the paper's comparisons in miniature",
    about=(
        "Makes the training runs and evaluations of the paper's comparisons that are missing, several at a time, "
        "and writes a document of what they came to. The same command goes on where it was interrupted."
    ),
    examples=(
        ("reproduce", "all comparisons, three seeds (hours)"),
        ("reproduce --quick", "a few of them, short (minutes)"),
        ("reproduce workers=8", "eight runs at a time"),
        ("reproduce runs=false", "the document again, from the results"),
        ("reproduce reproduction=tuning", "the search for hyper-parameters"),
    ),
    run=run,
    root="reproduce",
    flags={"--quick": "reproduction=quick"},
)
