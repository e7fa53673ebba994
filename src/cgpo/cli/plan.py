"""`cgpo plan`: the memory of a run before it begins."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from cgpo.cli.verb import Call, Verb
from cgpo.progress import show

if TYPE_CHECKING:
    from cgpo.memory.job import Job, Layout


COLUMNS = ("all weights", "LoRA, rank 16")


def run(call: Call) -> None:
    """Prints the estimate of one run, or of its model under several strategies."""
    from cgpo.config import read_config

    config = read_config(call.config, "plan")
    from cgpo.build.memory import job_of, layout_of
    from cgpo.memory.estimate import estimate
    from cgpo.memory.tables import GB, as_plain, comparison_markdown, comparison_table, estimate_view
    from cgpo.runs.process import quiet

    quiet()
    job, settings = job_of(config), config.plan
    if settings.compare:
        precision = job.layout.precision
        others = [layout_of(other, precision) for other in settings.strategies]
        rows = [_row(job, other) for other in others]
        output = [
            {"strategy": name, "gpu_gb": {what: peak / GB for what, peak in zip(COLUMNS, peaks, strict=True)}}
            for name, peaks in rows
        ]
        markdown = settings.format == "markdown"
        picture = comparison_markdown(rows, COLUMNS) if markdown else comparison_table(rows, COLUMNS)
    else:
        room = (settings.gpu_gb, settings.host_gb, settings.usable)
        output = as_plain(estimate(job), *room)
        picture = estimate_view(output, *room)
    if settings.format == "json":
        print(json.dumps(output, indent=2))
    else:
        show(picture)


def _row(job: Job, layout: Layout) -> tuple[str, tuple[float, float]]:
    """A layout with the peaks of training all weights and of training adapters, in bytes of a GPU."""
    from cgpo.memory.estimate import estimate
    from cgpo.memory.tables import describe_layout

    whole = replace(job, layout=layout, rank=None)
    adapters = replace(whole, rank=16, reference=None)
    return describe_layout(layout), (estimate(whole).peak, estimate(adapters).peak)


VERB = Verb(
    name="plan",
    summary="estimate the memory that a run will need",
    about=(
        "Adds up what training with a configuration puts on each GPU and each host, without loading a model. Takes "
        "whatever cgpo train takes."
    ),
    examples=(
        ("plan experiment=llama_70b", "of a recipe"),
        ("plan experiment=qwen_7b trainer.devices=4", "on four GPUs"),
        ("plan experiment=llama_8b plan.compare=true", "under several strategies"),
        ("plan experiment=qwen_0_5b plan.gpu_gb=24", "on smaller GPUs"),
        ("plan experiment=llama_8b plan.format=json", "for a program"),
    ),
    run=run,
    root="plan",
)
