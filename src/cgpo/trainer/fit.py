"""Running the module: Lightning's trainer, its loggers and callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import Logger

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy
from cgpo.tasks.expert import Expert
from cgpo.trainer.module import CGPOModule
from cgpo.trainer.steps import Steps
from cgpo.trainer.threads import fastest_threads


def fit(
    module: CGPOModule,
    updates: int,
    options: Mapping[str, Any],
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
) -> Trainer:
    """Trains for a number of updates.

    Args:
        module: what is trained.
        updates: optimizer steps.
        options: of `lightning.Trainer`: accelerator, devices, strategy, precision, ….
        callbacks: what watches.
        loggers: where metrics go.
    """
    trainer = Trainer(
        **options,
        max_steps=updates,
        max_epochs=1,
        logger=list(loggers),
        callbacks=[*callbacks, _Bar(refresh_rate=5)],
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(module, Steps(module.experts, updates, module.seed).loader())
    return trainer


def check_options(options: Mapping[str, Any]) -> None:
    """Asserts that `lightning.Trainer` takes these options on this machine, and that they name one device.

    Raises:
        UserError: they do not.
    """
    try:
        trainer = Trainer(**options, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"trainer.options: {str(error).strip().splitlines()[0]}") from error
    if trainer.world_size != 1:
        # A task's means are over its whole batch (eq. 12); on several devices each would take its own.
        raise UserError(f"trainer.options: {trainer.world_size} processes, but this version trains on one device")


def choose_threads(setting: int | str, policy: CausalPolicy, expert: Expert) -> int:
    """Sets torch's threads: a number, or `auto` to measure a small rollout and update on a CPU."""
    if setting != "auto":
        torch.set_num_threads(int(setting))
        return int(setting)
    if next(policy.model.parameters()).device.type != "cpu":
        return torch.get_num_threads()
    prompts = expert.prompts[: expert.batch_size]

    def work() -> None:
        rollout = expert.sampler.sample(policy, prompts, expert.responses_per_prompt, 0)
        expert.reward.score(rollout.samples)

    return fastest_threads(work)


class _Bar(TQDMProgressBar):
    def get_metrics(self, trainer: Trainer, pl_module: Any) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
