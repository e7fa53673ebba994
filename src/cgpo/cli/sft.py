"""`cgpo sft`: supervised fine-tuning alone."""

from __future__ import annotations

from cgpo.cli.stages import make
from cgpo.cli.verb import Call, Verb


def run(call: Call) -> None:
    """Makes what is missing, and says where it lies."""
    make("sft", call)


VERB = Verb(
    name="sft",
    summary="make the supervised policies of the pipeline",
    about=(
        "Makes the artifacts of the pipeline that are named sft or begin with sft_, where they are missing, and "
        "says where they lie. A training run makes them by itself; this makes them ahead of it."
    ),
    examples=(
        ("sft", "the suite's SFT policy"),
        ("sft pipeline.sft.fit.steps=500", "trained for longer"),
        ("sft cache_dir=/scratch/cgpo", "kept elsewhere"),
        ("sft trainer.threads=4", "on four threads"),
        ("sft experiment=real_smoke", "of another experiment"),
    ),
    run=run,
    root="stages",
)
