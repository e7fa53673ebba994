"""Judges any model's responses: `python -m cgpo.cli.judge judges=[math] input=rows.jsonl output=verdicts.jsonl`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omegaconf import DictConfig

from cgpo.build.judging import build_judging, judging_plan
from cgpo.build.plan import judge_choices
from cgpo.cli.command import run_command
from cgpo.judge_files import judge_file, show
from cgpo.judge_files.output import summary_path
from cgpo.runs.process import quiet, screen

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


def judge(config: DictConfig) -> None:
    """Judges a file and leaves its verdicts and a summary.

    Raises:
        UserError: the configuration, a row, the output or a model is not what it should be.
    """
    quiet()
    console, announce = screen()
    plan = judging_plan(config, judge_choices(config))
    judging = build_judging(plan, announce)
    try:
        summary = judge_file(
            plan["input"],
            plan["output"],
            judging.judges,
            panel=judging.panel,
            settings=judging.settings,
            chunk=plan["chunk"],
        )
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with {plan['output']} where it was left", file=sys.stderr, flush=True)
        judging.close()
        # Not sys.exit, which would wait for what the judges are doing.
        os._exit(INTERRUPTED)
    finally:
        judging.close()
    show(summary, console)
    announce(f"verdicts in {plan['output']}, these numbers in {summary_path(Path(plan['output']))}")


if __name__ == "__main__":
    run_command(judge, root="judge", sweeps=False)
