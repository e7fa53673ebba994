"""The report's panels in W&B: `python -m cgpo.cli.dashboard runs/2026-01-31/12-00-00 --entity my-team`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cgpo.errors import UserError
from cgpo.report.content import named_runs
from cgpo.report.workspace import tasks_of, workspace
from cgpo.training.loggers import has_key


def dashboard(folders: Sequence[str], entity: str, project: str, name: str, save: bool = True) -> None:
    """Makes a dashboard for the tasks and judges of some runs, and saves it in W&B.

    Raises:
        UserError: a folder holds no run, W&B cannot be reached, or there is no key for it.
    """
    made = workspace(entity, project, tasks_of(list(named_runs(folders).values())), name)
    for section in made.sections:
        print(f"{section.name}: {', '.join(panel.title for panel in section.panels)}")
    if not save:
        return
    if not has_key():
        raise UserError("saving a dashboard needs a key for W&B: call wandb login, or say --dry-run to see its panels")
    try:
        made.save()
    except Exception as error:  # W&B's client raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"W&B does not take the dashboard of {entity}/{project}: {reason}") from error


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m cgpo.cli.dashboard",
        description="Makes a W&B dashboard with the panels of the report, for the tasks and judges of some runs.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or a sweep's for all its runs")
    parser.add_argument("--entity", required=True, help="user or team at W&B")
    parser.add_argument("--project", default="cgpo", help="W&B's project (default: cgpo)")
    parser.add_argument("--name", default="cgpo", help="what the dashboard is called (default: cgpo)")
    parser.add_argument("--dry-run", action="store_true", help="only say which panels it would have")
    arguments = parser.parse_args()
    try:
        dashboard(arguments.runs, arguments.entity, arguments.project, arguments.name, save=not arguments.dry_run)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
