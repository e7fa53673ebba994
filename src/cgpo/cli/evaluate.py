"""`cgpo evaluate`: policies side by side on held-out prompts."""

from __future__ import annotations

from cgpo.cli.verb import LOADING, Call, Verb
from cgpo.progress import bar, say, show


def run(call: Call) -> None:
    """Evaluates, and shows a table for each task."""
    from cgpo.config import read_config

    config = read_config(call.config, "evaluate")
    call.note(config.notes)
    with bar(LOADING, None):
        from cgpo.evaluation.tables import tables
        from cgpo.runs.evaluate import begin_evaluation, evaluate

        session = begin_evaluation(config, call.config)
    found = evaluate(config, session, call.typed())
    for table in tables(found):
        show(table)
    say(f"all of it lies in {session.folder}")


VERB = Verb(
    name="evaluate",
    summary="compare policies on held-out prompts, with intervals",
    about=(
        "Draws responses of every policy to the same held-out prompts and reports success, reward, KL, violations "
        "of each judge and win rates, with bootstrap intervals of each and of their differences; leaves "
        "evaluation.json and samples.jsonl in a folder of its own."
    ),
    examples=(
        ("evaluate 'policies={crpg: runs/a, ppo: runs/b}'", "two runs side by side"),
        ("evaluate 'policies=[runs/a,artifact:warmup]'", "a run and where it began"),
        ("evaluate 'policies=[runs/a]' evaluation.samples=16 'evaluation.pass_at=[1,16]'", "pass@16"),
        ("evaluate 'policies=[runs/a]' tasks=math_code evaluation.prompts=1000", "one task, more prompts"),
        ("evaluate model.path=FOLDER 'evaluation.win_by=[]'", "one model, without win rates"),
    ),
    run=run,
    root="evaluate",
    sweeps=True,
)
