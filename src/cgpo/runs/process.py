"""What is set for a whole process before anything is loaded."""

from __future__ import annotations

import logging
import os
import warnings

import torch

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
    ".*have no `val_dataloader`.*",
)
"""Warnings of libraries that say nothing a person could act on."""
LOUD = ("lightning", "lightning.pytorch", "lightning.fabric", "openai", "httpx", "httpx2")
"""Loggers of libraries that say too much below errors."""


def quiet() -> None:
    """Leaves the screen to what a person needs: progress bars of a run, tables, and lines of this project."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    for name in LOUD:
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
