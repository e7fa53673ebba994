"""`cgpo warmup`: the DPO warm-up alone."""

from __future__ import annotations

from cgpo.cli.stages import make
from cgpo.cli.verb import Call, Verb


def run(call: Call) -> None:
    """Makes what is missing, and says where it lies."""
    make("warmup", call)


VERB = Verb(
    name="warmup",
    summary="make the DPO warm-up that training starts from",
    about=(
        "Makes the artifacts of the pipeline that are named warmup or begin with warmup_, with all that they are "
        "made from, where they are missing, and says where they lie."
    ),
    examples=(
        ("warmup", "the suite's warm-up"),
        ("warmup pipeline.warmup.fit.steps=200", "trained for longer"),
        ("warmup cache_dir=/scratch/cgpo", "kept elsewhere"),
        ("warmup trainer.threads=4", "on four threads"),
        ("warmup pipeline=tiny", "of another pipeline"),
    ),
    run=run,
    root="stages",
)
