"""`cgpo reward`: the reward models alone."""

from __future__ import annotations

from cgpo.cli.stages import make
from cgpo.cli.verb import Call, Verb


def run(call: Call) -> None:
    """Makes what is missing, and says where it lies."""
    make("reward", call)


VERB = Verb(
    name="reward",
    summary="make the reward models of the pipeline",
    about=(
        "Makes the artifacts of the pipeline that are named reward or begin with reward_, with the preference "
        "pairs that they are trained on, where they are missing, and says where they lie."
    ),
    examples=(
        ("reward", "the suite's reward models"),
        ("reward pipeline.reward_safety.fit.steps=400", "one of them trained for longer"),
        ("reward cache_dir=/scratch/cgpo", "kept elsewhere"),
        ("reward trainer.threads=4", "on four threads"),
        ("reward pipeline=tiny", "of another pipeline"),
    ),
    run=run,
    root="stages",
)
