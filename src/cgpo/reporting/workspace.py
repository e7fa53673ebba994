"""The report's panels as a W&B dashboard, made by code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cgpo.errors import UserError
from cgpo.metrics import expected
from cgpo.reporting.sections import Section, sections
from cgpo.run_files import Run

OPEN = 2
"""Sections that are open at first."""
STEP = "trainer/global_step"
"""What metrics are logged against: updates done."""
Tasks = Mapping[str, Sequence[str]]
"""Each task's judges."""


def tasks_of(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The tasks of some runs, each with the judges that any of the runs gave it."""
    tasks: dict[str, list[str]] = {}
    for run in runs:
        chosen = run.config.get("judges") or {}
        for name, task in run.config["tasks"].items():
            named = task.get("judges") or []
            judges = [judge for judge in ([named] if isinstance(named, str) else named) if judge in chosen]
            known = tasks.setdefault(name, [])
            known += [judge for judge in judges if judge not in known]
    return tasks


def logged_by(runs: Sequence[Run]) -> list[str]:
    """The names of all metrics that some runs have logged, those of observers of one's own included."""
    return sorted({name for run in runs for name in run.metrics})


def workspace(entity: str, project: str, tasks: Tasks, name: str = "cgpo", logged: Iterable[str] = ()) -> Any:
    """A `wandb_workspaces.workspaces.Workspace`, not saved yet; nothing is asked of the network.

    Args:
        entity: user or team at W&B.
        project: W&B's project.
        tasks: each task's judges.
        name: what the dashboard is called.
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
    """A panel for each of the section's, but one a task for shares, which have one axis."""
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
