"""The report's panels as a W&B dashboard, made by code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.errors import UserError
from cgpo.run_files import Run

STAGES = ("baselines", "rollout", "reward", "reference", "judges", "update", "step")
"""What `time/<stage>` is logged of, in the order of an iteration."""
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


def workspace(entity: str, project: str, tasks: Tasks, name: str = "cgpo") -> Any:
    """A `wandb_workspaces.workspaces.Workspace`, not saved yet; nothing is asked of the network.

    Args:
        entity: user or team at W&B.
        project: W&B's project.
        tasks: each task's judges.
        name: what the dashboard is called.

    Raises:
        UserError: the extra `dashboard` is not installed.
    """
    try:
        from wandb_workspaces import workspaces
    except ImportError as error:
        raise UserError(
            "the dashboard is made with wandb-workspaces, which is missing: pip install 'cgpo[dashboard]'"
        ) from error
    sections = [
        workspaces.Section(name=title, panels=panels, is_open=number < 2)
        for number, (title, panels) in enumerate(_sections(tasks).items())
        if panels
    ]
    return workspaces.Workspace(entity=entity, project=project, name=name, sections=sections)


def _sections(tasks: Tasks) -> dict[str, list[Any]]:
    judged = {task: judges for task, judges in tasks.items() if judges}
    return {
        "Learned reward and gold success": [
            panel
            for task in tasks
            for panel in (
                _lines(f"{task}: learned reward", [f"reward/{task}/raw", f"gold/{task}/reward"]),
                _lines(f"{task}: success", [f"gold/{task}/success"], share=True),
            )
        ],
        "Hacking alarm": [_lines("alarms", [f"alarm/{task}" for task in tasks], share=True)],
        "Violation rates": [
            _lines(task, [f"judges/{task}/{judge}/violation_rate" for judge in judges], share=True)
            for task, judges in judged.items()
        ],
        "Satisfied by all judges": [_lines(task, [f"judges/{task}/satisfied_rate"], share=True) for task in judged],
        "Reward given violation": [
            _lines(task, [f"reward/{task}/given_violation", f"reward/{task}/given_satisfied"]) for task in judged
        ],
        "KL divergence from the reference, nats": [_lines(task, [f"kl/{task}", f"gold/{task}/kl"]) for task in tasks],
        "Length, tokens": [_lines(task, [f"rollout/{task}/length"]) for task in tasks],
        "Time by stage, seconds an update": [_lines("stages", [f"time/{stage}" for stage in STAGES], stacked=True)],
    }


def _lines(title: str, metrics: list[str], share: bool = False, stacked: bool = False) -> Any:
    from wandb_workspaces.reports import v2

    return v2.LinePlot(
        title=title,
        x=STEP,
        y=list(metrics),
        range_y=(0.0, 1.0) if share else (None, None),
        plot_type="stacked-area" if stacked else "line",
    )
