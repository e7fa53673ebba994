"""What is set for a whole process before anything is loaded, and its screen."""

from __future__ import annotations

import logging
import os
import warnings
from functools import partial
import torch
from rich.console import Console
from cgpo.build.artifacts import Announce
from cgpo.errors import UserError


NOISE = (
    ".*does not have many workers.*",
    ".*Experiment logs directory.*",
    ".*LeafSpec.*",
    ".*GPU available.*",
    ".*in eval mode at the start of training.*",
    ".*anonymous setting.*",
    ".*assuming the intent is to (save|load) in a single process.*",
    ".*your dataloader is not resumable.*",
    ".*lr_scheduler.step.*",
    ".*gradient_checkpointing_enable.*is deprecated.*",
)
"""Warnings of libraries that say nothing a person could act on."""


def screen(silent: bool = False) -> tuple[Console, Announce]:
    """The console, and what says a dim line on it; where another process speaks, neither shows anything."""
    console = Console(quiet=silent)
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
