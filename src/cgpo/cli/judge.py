"""`cgpo judge`: judges any model's responses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cgpo.cli.interrupt import STATUS, Interrupted
from cgpo.cli.verb import LOADING, Call, Verb
from cgpo.progress import bar, say, show


def run(call: Call) -> None:
    """Judges a file and leaves its verdicts and a summary."""
    from cgpo.config import read_config

    config = read_config(call.config, "judge")
    with bar(LOADING, None):
        from cgpo.build.judging import build_judging
        from cgpo.judge_files import judge_file, summary_view
        from cgpo.judge_files.output import summary_path
        from cgpo.runs.process import quiet

        quiet()
        judging = build_judging(config, say)
    try:
        summary = judge_file(
            config.input,
            config.output,
            judging.judges,
            panel=judging.panel,
            settings=judging.settings,
            chunk=config.chunk,
        )
    except Interrupted:
        print(f"stopped; the same command goes on with {config.output} where it was left", file=sys.stderr, flush=True)
        judging.close()
        # Not sys.exit, which would wait for what the judges are doing.
        os._exit(STATUS)
    finally:
        judging.close()
    show(summary_view(summary))
    say(f"verdicts in {config.output}, these numbers in {summary_path(Path(config.output))}")


VERB = Verb(
    name="judge",
    summary="judge a file of any model's responses",
    about=(
        "Reads rows of JSONL with prompt, response and metadata, and writes the same rows with the verdict and "
        "reason of each judge; a summary beside them says how often each was violated, how far judges agree and, "
        "where rows have labels, how right they are. The same command goes on where it was interrupted."
    ),
    examples=(
        ("judge judges=[math] input=rows.jsonl output=verdicts.jsonl", "answers to mathematics"),
        ("judge judges=[math,code] input=rows.jsonl output=verdicts.jsonl", "programs, too, in a sandbox"),
        (
            "judge judges=[safety] judge_models.safety=MODEL input=rows.jsonl output=verdicts.jsonl",
            "a language model as judge",
        ),
        ("judge judges=[instruction_following] input=rows.jsonl output=verdicts.jsonl chunk=1024", "larger chunks"),
        ("judge --config-dir my_conf judges=[mine] input=rows.jsonl output=verdicts.jsonl", "a judge of one's own"),
    ),
    run=run,
    root="judge",
)
