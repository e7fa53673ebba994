"""The report's panels as a W&B dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cgpo.errors import UserError
from cgpo.metrics import expected
from cgpo.reporting.sections import Section, sections
from cgpo.run_files import Run

OPEN = 2
"""The number of sections that are open at first."""
STEP = "trainer/global_step"
"""The metric on the horizontal axis: the number of updates done."""
Tasks = Mapping[str, Sequence[str]]
"""The names of the tasks with those of their judges."""


def tasks_of(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Returns the tasks of some runs, each with the judges that it has in any of them."""
    tasks: dict[str, list[str]] = {}
    for run in runs:
        for name, judges in run.judges.items():
            known = tasks.setdefault(name, [])
            known += [judge for judge in judges if judge not in known]
    return tasks


def logged_by(runs: Sequence[Run]) -> list[str]:
    """Returns the names of all metrics that some runs have logged, including those of a user's own observers."""
    return sorted({name for run in runs for name in run.metrics})


def workspace(entity: str, project: str, tasks: Tasks, name: str = "cgpo", logged: Iterable[str] = ()) -> Any:
    """Makes a `wandb_workspaces.workspaces.Workspace` without saving it or using the network.

    Args:
        entity: the user or team at W&B.
        project: the project at W&B.
        tasks: the tasks with their judges.
        name: the name of the dashboard.
        logged: metrics that are known to be logged, besides those that every run logs.

    Raises:
        UserError: the extra `dashboard` is not installed.
    """
    try:
        from wandb_workspaces import workspaces
    except ImportError as error:
        raise UserError(
            "the dashboard is made with wandb-workspaces, which is missing: pip install 'cgpo[dashboard]'"
        ) from error
    made = [
        workspaces.Section(name=section.group.title, panels=_panels(section), is_open=number < OPEN)
        for number, section in enumerate(sections([*expected(tasks), *logged], list(tasks)))
    ]
    return workspaces.Workspace(entity=entity, project=project, name=name, sections=made)


def _panels(section: Section) -> list[Any]:
    """Makes a W&B panel for each panel of a section; those of a task's shares are one, since they share an axis."""
    from wandb_workspaces.reports import v2

    panels: dict[str, list[str]] = {}
    for panel in section.panels:
        parts = [panel.task] if section.group.share else [panel.task, panel.part]
        title = ": ".join(filter(None, parts)) or section.group.title
        panels.setdefault(title, []).extend(drawn.name for drawn in panel.metrics)
    return [
        v2.LinePlot(
            title=title,
            x=STEP,
            y=list(metrics),
            range_y=(0.0, 1.0) if section.group.share else (None, None),
            plot_type="stacked-area" if section.group.stacked else "line",
        )
        for title, metrics in panels.items()
    ]
