"""What the verbs that make a stage's results have in common."""

from __future__ import annotations

from typing import Literal

from cgpo.cli.interrupt import resumable
from cgpo.cli.verb import LOADING, Call
from cgpo.progress import bar, say


def make(stage: Literal["sft", "reward", "warmup"], call: Call) -> None:
    """Makes what is missing of a stage's results and says where they lie.

    Args:
        stage: the recipes of that name under `pipeline`, and those whose name begins with it.
        call: of the verb.
    """
    from cgpo.config import read_config

    config = read_config(call.config, stage)
    with bar(LOADING, None):
        from cgpo.build.artifacts import artifact_store
        from cgpo.build.checks import check_recipes
        from cgpo.errors import UserError
        from cgpo.runs.process import quiet, set_threads

        quiet()
        check_recipes(config.pipeline)
    set_threads(config.trainer.threads)
    store = artifact_store(config.cache_dir, config.pipeline, say)
    names = [name for name in config.pipeline if name == stage or name.startswith(f"{stage}_")]
    if not names:
        raise UserError(
            f"pipeline: there is no recipe {stage!r} to make (there are: {', '.join(config.pipeline) or 'none'})"
        )
    with resumable("what is made already is kept, and the same command makes the rest"), store.reuse_told_at_once():
        places = {name: store.path(name) for name in names}
    for name, place in places.items():
        say(f"{name}: {place}")
