"""A command that makes one stage's artifacts."""

from __future__ import annotations

from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cgpo.build.artifacts import artifact_store, check_recipes
from cgpo.cli.command import run_command
from cgpo.errors import UserError
from cgpo.runs.process import quiet, screen, set_threads


def stage_command(stage: str) -> None:
    """Runs the command of a stage: makes what is missing of its artifacts and says where they lie.

    Args:
        stage: `sft`, `reward` or `warmup`: the recipes of that name under `pipeline`, and those that begin with it.
    """
    run_command(partial(_make, stage))


def _make(stage: str, config: DictConfig) -> None:
    quiet()
    console, announce = screen()
    pipeline: Any = OmegaConf.to_container(config.pipeline, resolve=True)
    check_recipes(pipeline)
    set_threads(config.trainer.threads)
    store = artifact_store({"pipeline": pipeline, "cache_dir": config.cache_dir}, announce)
    names = [name for name in config.pipeline if name == stage or str(name).startswith(f"{stage}_")]
    if not names:
        raise UserError(f"pipeline: there is no recipe {stage!r} to make (there are: {', '.join(config.pipeline)})")
    for name in names:
        console.print(f"{name}: {store.path(str(name))}", highlight=False, soft_wrap=True)
