"""The paper's comparisons in miniature: `python -m cgpo.cli.reproduce`, or `--quick`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cgpo.build.plan import resolved
from cgpo.cli.command import run_command
from cgpo.errors import UserError
from cgpo.reproduction.document import read_remarks, write_document
from cgpo.reproduction.figures import draw_figures, require_matplotlib
from cgpo.reproduction.jobs import comparison_of, jobs_of
from cgpo.reproduction.results import FILE, collect, load, save
from cgpo.reproduction.running import Runner
from cgpo.runs.process import screen

QUICK = "--quick"
PLACES = ("folder", "results", "document")


def reproduce(config: DictConfig) -> None:
    """Makes the runs that are missing, and the document of them all.

    Raises:
        UserError: the configuration is not what it should be, a run failed, or matplotlib is missing.
    """
    _, announce = screen()
    plan = resolved(config)
    require_matplotlib()
    results = Path(plan["results"])
    remarks = read_remarks(results)
    if plan["runs"]:
        comparison, folder = comparison_of(plan), Path(plan["folder"])
        Runner(_workers(plan["workers"]), announce).run(jobs_of(comparison, folder), folder)
        save(collect(comparison, folder, _command()), results)
    if plan["document"] is None:
        return
    found = load(results)
    tuning = load(results / "tuning") if (results / "tuning" / FILE).is_file() else None
    write_document(found, tuning, remarks, draw_figures(found, results), Path(plan["document"]))
    announce(f"{plan['document']}, of the numbers in {results / FILE}")


def _command() -> str:
    """What was typed, but for where things are put."""
    given = [o for o in HydraConfig.get().overrides.task if o.split("=")[0] not in PLACES]
    return " ".join(["python -m cgpo.cli.reproduce", *given]).replace("reproduction=quick", QUICK)


def _workers(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise UserError(f"workers is {given!r}: it must be a whole number of at least 1")
    return given


if __name__ == "__main__":
    # The runs' processes are ended, too, when this one is asked to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.argv = ["reproduction=quick" if argument == QUICK else argument for argument in sys.argv]
    run_command(reproduce, root="reproduce", sweeps=False)
