"""A tiny run that may be cut off, and one that goes on from its checkpoints."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from tests.training.tiny_runs import adam, module_of
from torch import Tensor

from cgpo.training.callbacks import Checkpoints
from cgpo.training.checkpoints.catalogue import newest_whole
from cgpo.training.module import CGPOModule
from cgpo.training.schedule import WarmupCosine
from cgpo.training.steps import Steps

UPDATES = 6


class CutOffError(Exception):
    """Stands for a kill."""


class CutOff(Callback):
    """Ends a run as an update begins."""

    def __init__(self, update: int) -> None:
        self.update = update

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.global_step == self.update:
            raise CutOffError


def module(tasks: Any, **settings: Any) -> CGPOModule:
    schedule = WarmupCosine(UPDATES, warmup_steps=2, final_factor=0.1)
    return module_of(tasks, **{"weight_optimizer": adam, "schedule": schedule, "clip_norm": 1.0, **settings})


def train(module: CGPOModule, keeper: Checkpoints | None, *callbacks: Callback, done: int = 0) -> CGPOModule:
    keepers = [] if keeper is None else [keeper]
    trainer = Trainer(
        accelerator="cpu",
        max_steps=UPDATES,
        max_epochs=1,
        logger=False,
        callbacks=[*callbacks, *keepers],
        enable_checkpointing=bool(keepers),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Steps(module.experts, UPDATES, module.seed).loader(done))
    return module


def cut_off_and_gone_on(make: Callable[[], CGPOModule], folder: Path, at: int, every: int = 2) -> CGPOModule:
    """Trains until the update `at`, and goes on as another module from what was saved."""
    with contextlib.suppress(CutOffError):
        train(make(), Checkpoints(str(folder), every=every), CutOff(at))
    keeper = Checkpoints(str(folder), every=every)
    keeper.origin, problems = newest_whole(folder)
    assert problems == []
    return train(make(), keeper, done=0 if keeper.origin is None else keeper.origin.step)


def everything(module: CGPOModule) -> dict[str, Tensor]:
    """All weights, the optimizer's moments and its rates."""
    found = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    optimizer: Any = module.trainer.optimizers[0]
    for name, parameter in module.named_parameters():
        found |= {f"{key} of {name}": value for key, value in optimizer.state.get(parameter, {}).items()}
    rates = [group["lr"] for group in optimizer.param_groups]
    return {**found, "rates": torch.tensor(rates, dtype=torch.float64)}


def assert_same(one: CGPOModule, other: CGPOModule) -> None:
    """To the last bit."""
    left, right = everything(one), everything(other)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    assert one.global_step == other.global_step == UPDATES
