"""The hardware of a run: devices, how they share the work, and the precision; checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException

from cgpo.config import TrainerConfig, plain
from cgpo.distributed.rendezvous import Rendezvous
from cgpo.errors import UserError
from cgpo.training.strategies import Joined, strategy_of

ON_A_CPU = 2
"""The number of processes for `devices: auto` without a GPU."""


@dataclass(frozen=True)
class Hardware:
    """Devices and how they share the work.

    Attributes:
        strategy: `single`, `ddp` (a full copy each) or `fsdp` (a shard each).
        devices: the number of processes of a machine, with a device each.
        nodes: the number of machines.
        tensor_parallel: the number of processes that share one copy's matrices.
        precision: `32-true`, `bf16-mixed` (weights as they are loaded, computation in bfloat16) or `bf16-true`
            (weights loaded in bfloat16).
        options: further options of `lightning.Trainer`.
    """

    strategy: str
    devices: int
    nodes: int
    tensor_parallel: int
    precision: str
    options: Mapping[str, Any]

    @property
    def processes(self) -> int:
        """The number of processes of the whole run."""
        return self.devices * self.nodes

    @property
    def lightning_precision(self) -> str:
        """The precision that Lightning handles, which is neither that of sharded weights nor that of bfloat16 ones."""
        return "bf16-mixed" if self.precision == "bf16-mixed" and not self.mixed_shards else "32-true"

    @property
    def mixed_shards(self) -> bool:
        """Whether sharded weights are gathered in bfloat16; other weights have Lightning's precision."""
        return self.strategy == "fsdp" and self.precision == "bf16-mixed"

    def trainer(self, rendezvous: Rendezvous | None, **settings: Any) -> Trainer:
        """Makes Lightning's trainer for a process of the run.

        Args:
            rendezvous: the process's place among several; `None` if it is alone.
            **settings: further arguments of `lightning.Trainer`.
        """
        return Trainer(
            **self.options,
            **settings,
            devices=self.devices,
            num_nodes=self.nodes,
            strategy=strategy_of(self.strategy, self.devices, self.nodes, self.tensor_parallel),
            precision=self.lightning_precision,  # pyright: ignore[reportArgumentType]
            plugins=[] if rendezvous is None else [Joined(rendezvous, self.devices)],
            use_distributed_sampler=False,
        )


def hardware_of(trainer: TrainerConfig) -> Hardware:
    """Returns the hardware that the configuration's group `trainer` asks for.

    Raises:
        UserError: naming the key and what it must be.
    """
    devices = trainer.devices
    if devices == "auto":
        devices = 1 if trainer.strategy == "single" else _devices(trainer.options)
    trainer.check_parallel(devices)
    options = plain(trainer.options)
    found = Hardware(
        strategy=trainer.strategy,
        devices=devices,
        nodes=trainer.nodes,
        tensor_parallel=trainer.tensor_parallel,
        precision=trainer.precision,
        options=options if isinstance(options, Mapping) else {},
    )
    _check_options(found)
    return found


def check_rendezvous(hardware: Hardware, rendezvous: Rendezvous | None) -> None:
    """Checks that a launcher started as many processes as the configuration asks for.

    Raises:
        UserError: it did not.
    """
    wanted = hardware.processes
    if rendezvous is None and hardware.nodes > 1:
        raise UserError(
            f"trainer.nodes is {hardware.nodes}: start the command on each machine with torchrun or SLURM's srun"
        )
    if rendezvous is not None and rendezvous.size != wanted:
        raise UserError(
            f"trainer.devices times trainer.nodes is {wanted}, but {rendezvous.size} processes were started; "
            "make the two agree"
        )


def _devices(options: Mapping[str, Any]) -> int:
    wants_gpu = options.get("accelerator", "auto") in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return torch.cuda.device_count() if wants_gpu else ON_A_CPU


def _check_options(found: Hardware) -> None:
    try:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        options: dict[str, Any] = {**quiet, **found.options, "devices": 1}
        Trainer(**options)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"trainer.options: {str(error).strip().splitlines()[0]}") from error
    available = torch.cuda.device_count()
    if found.options.get("accelerator") in ("gpu", "cuda") and found.devices > available:
        raise UserError(f"trainer.devices is {found.devices}: this machine has {available} GPUs")
