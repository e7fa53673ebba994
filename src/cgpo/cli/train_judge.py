"""Makes a judge model of labelled rows: `python -m cgpo.cli.train_judge input=rows.jsonl model.path=… template=safety`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from cgpo.build.judge_training import labelled_judge, training_plan
from cgpo.cli.command import run_command
from cgpo.judge_files import show
from cgpo.runs.process import quiet, screen
from cgpo.stages.judge_model import check_free, read_labelled


def train_judge(config: DictConfig) -> None:
    """Fine-tunes a language model on labelled rows, and reports its accuracy on rows held out.

    Raises:
        UserError: the configuration, a row, the model or the output is not what it should be.
    """
    quiet()
    console, announce = screen()
    plan = training_plan(config)
    output = Path(plan["output"])
    check_free(output)
    judge = labelled_judge(plan)
    rows = read_labelled(Path(plan["input"]), plan["held_out"], plan["seed"])
    announce(f"{len(rows.train)} rows to train on, {len(rows.held_out)} held out, {rows.unlabelled} without a label")
    summary = judge.build(rows, output)
    show(summary, console)
    announce(f"always saying the more frequent label would be right on {summary['majority']:.3f} of the rows held out")
    announce(f"the judge model lies in {output}: judges.<name>.model={output}")


if __name__ == "__main__":
    run_command(train_judge, root="train_judge", sweeps=False)
