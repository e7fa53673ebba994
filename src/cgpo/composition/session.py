"""How a command begins: what is set for the whole process, and what is checked before anything dear is built."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cgpo.composition.build import Announce, artifact_store, load_prompts
from cgpo.composition.command import judge_choices
from cgpo.composition.plan import Config, plan_of
from cgpo.composition.run_folder import write_config
from cgpo.composition.values import check_values
from cgpo.data.source import PromptSplits
from cgpo.errors import UserError
from cgpo.stages.artifacts import ArtifactStore

NOISE = (
    ".*does not have many workers.*",
    ".*Experiment logs directory.*",
    ".*LeafSpec.*",
    ".*GPU available.*",
    ".*in eval mode at the start of training.*",
    ".*anonymous setting.*",
)
"""Warnings of libraries that say nothing a person could act on."""


@dataclass(frozen=True)
class Session:
    """A run that may begin: all that can be known to be wrong without building anything dear is right.

    Attributes:
        folder: of the run; it holds the configuration.
        console: the screen.
        announce: says a line about what is being done.
        plan: see `cgpo.composition.plan`.
        prompts: of each task.
        store: what the pipeline makes.
    """

    folder: Path
    console: Console
    announce: Announce
    plan: Config
    prompts: dict[str, PromptSplits]
    store: ArtifactStore


def begin(config: DictConfig) -> Session:
    """Checks a configuration and claims its run's folder.

    Raises:
        UserError: the configuration or a data file is not what it should be.
    """
    quiet()
    console, announce = screen()
    folder = Path(HydraConfig.get().runtime.output_dir)
    plan = plan_of(config, judge_choices(config))
    check_values(plan)
    set_threads(plan["trainer"]["threads"])
    prompts = load_prompts(plan)
    write_config(folder, config)
    return Session(folder, console, announce, plan, prompts, artifact_store(plan, announce))


def screen() -> tuple[Console, Announce]:
    """The console, and what says a dim line on it."""
    console = Console()
    return console, partial(console.print, style="dim", highlight=False, soft_wrap=True)


def quiet() -> None:
    """Leaves the screen to what a person needs: progress bars of a run, tables, and lines of this project."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "openai", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)


def set_threads(setting: int | str) -> None:
    """Gives the stages the run's number of threads; where it is `auto` they keep torch's own.

    Raises:
        UserError: it is neither.
    """
    if setting == "auto":
        return
    if not isinstance(setting, int) or isinstance(setting, bool) or setting < 1:
        raise UserError(f"trainer.threads is {setting!r}: it must be auto, or a whole number of at least 1")
    torch.set_num_threads(setting)
