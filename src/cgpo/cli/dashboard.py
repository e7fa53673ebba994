"""`cgpo dashboard`: the report's panels in W&B."""

from __future__ import annotations

from cgpo.cli.verb import Call, Verb
from cgpo.progress import say


def run(call: Call) -> None:
    """Makes a dashboard for the tasks and judges of some runs, and saves it in W&B."""
    from cgpo.config import read_config

    config = read_config(call.config, "dashboard")
    from cgpo.errors import UserError
    from cgpo.reporting.content import named_runs
    from cgpo.reporting.workspace import logged_by, tasks_of, workspace
    from cgpo.training.loggers import has_key

    runs = list(named_runs(config.runs).values())
    made = workspace(config.entity, config.project, tasks_of(runs), config.name, logged_by(runs))
    for section in made.sections:
        say(f"{section.name}: {', '.join(panel.title for panel in section.panels)}")
    if not config.save:
        return
    if not has_key():
        raise UserError("saving a dashboard needs a key for W&B: call wandb login, or say save=false to see its panels")
    try:
        made.save()
    except Exception as error:  # W&B's client raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"W&B does not take the dashboard of {config.entity}/{config.project}: {reason}") from error


VERB = Verb(
    name="dashboard",
    summary="make the report's panels in W&B",
    about=(
        "Makes a W&B dashboard with the panels of the report, for the tasks and judges of some runs. Needs the "
        "extra dashboard and a key for W&B."
    ),
    examples=(
        ("dashboard runs/2026-01-31/12-00-00 entity=my-team", "of one run"),
        ("dashboard runs/ entity=my-team project=cgpo", "of all runs below a folder"),
        ("dashboard runs/a entity=my-team name=judges", "under another name"),
        ("dashboard runs/a entity=my-team save=false", "only say which panels it would have"),
        ("dashboard runs/a runs/b entity=my-team", "of two runs"),
    ),
    run=run,
    root="dashboard",
    positional="runs",
    flags={"--entity": "entity={}", "--project": "project={}", "--name": "name={}", "--dry-run": "save=false"},
)
