"""`cgpo train-judge`: a judge model of labelled rows."""

from __future__ import annotations

from pathlib import Path

from cgpo.cli.verb import LOADING, Call, Verb
from cgpo.progress import bar, say, show


def run(call: Call) -> None:
    """Fine-tunes a language model on labelled rows, and reports its accuracy on rows held out."""
    from cgpo.config import read_config

    config = read_config(call.config, "train-judge")
    with bar(LOADING, None):
        from cgpo.build.judge_training import labelled_judge
        from cgpo.judge_files import summary_view
        from cgpo.runs.process import quiet
        from cgpo.stages.judge_model import check_free, read_labelled

        quiet()
        output = Path(config.output)
        check_free(output)
        judge = labelled_judge(config)
        rows = read_labelled(Path(config.input), config.held_out, config.seed)
    say(f"{len(rows.train)} rows to train on, {len(rows.held_out)} held out, {rows.unlabelled} without a label")
    summary = judge.build(rows, output)
    show(summary_view(summary))
    say(f"always saying the more frequent label would be right on {summary['majority']:.3f} of the rows held out")
    say(f"the judge model lies in {output}: judges.<name>.model={output}")


VERB = Verb(
    name="train-judge",
    summary="make a judge model from labelled rows",
    about=(
        "Fine-tunes a language model on rows with a prompt, a response and a label (true for satisfied), judges "
        "rows held out, and leaves a folder that judges.<name>.model=FOLDER reads."
    ),
    examples=(
        ("train-judge input=rows.jsonl model.path=MODEL template=safety output=guard", "a judge of safety"),
        ("train-judge input=rows.jsonl model.path=MODEL template=ask.txt output=guard", "with a question of one's own"),
        (
            "train-judge input=rows.jsonl model.path=MODEL template=safety output=guard held_out=500",
            "500 rows held out",
        ),
        (
            "train-judge input=rows.jsonl model.path=MODEL template=safety output=guard fit.steps=1000",
            "trained for longer",
        ),
        ("train-judge input=rows.jsonl model.path=MODEL template=safety output=guard fit.accelerator=gpu", "on a GPU"),
    ),
    run=run,
    root="train_judge",
)
