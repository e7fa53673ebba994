"""On what a run trains: devices, how they share the work, and in which precision; checked before anything is built."""

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
"""Processes where the number is left to us and there is no GPU."""


@dataclass(frozen=True)
class Hardware:
    """Devices and how they share the work.

    Attributes:
        strategy: `single`, `ddp` (a whole copy each) or `fsdp` (a piece each).
        devices: processes of a machine, with a device each.
        nodes: machines.
        tensor_parallel: processes that share one copy's matrices.
        precision: `32-true`, `bf16-mixed` (weights as they are loaded, computation in bfloat16) or `bf16-true`
            (weights are loaded in bfloat16).
        options: further ones of `lightning.Trainer`.
    """

    strategy: str
    devices: int
    nodes: int
    tensor_parallel: int
    precision: str
    options: Mapping[str, Any]

    @property
    def processes(self) -> int:
        """Of the whole run."""
        return self.devices * self.nodes

    @property
    def lightnings_precision(self) -> str:
        """What is left to Lightning: it has no part in sharded weights, nor in those that are loaded in bfloat16."""
        return "bf16-mixed" if self.precision == "bf16-mixed" and not self.mixed_pieces else "32-true"

    @property
    def mixed_pieces(self) -> bool:
        """Sharded weights are gathered in bfloat16; what is whole is left to Lightning's precision."""
        return self.strategy == "fsdp" and self.precision == "bf16-mixed"

    def trainer(self, taken: Rendezvous | None, **settings: Any) -> Trainer:
        """Lightning's trainer for a process of the run.

        Args:
            taken: its seat; `None` where it is alone.
            **settings: of `lightning.Trainer`.
        """
        return Trainer(
            **self.options,
            **settings,
            devices=self.devices,
            num_nodes=self.nodes,
            strategy=strategy_of(self.strategy, self.devices, self.nodes, self.tensor_parallel),
            precision=self.lightnings_precision,  # pyright: ignore[reportArgumentType]
            plugins=[] if taken is None else [Joined(taken, self.devices)],
            use_distributed_sampler=False,
        )


def hardware_of(trainer: TrainerConfig) -> Hardware:
    """The hardware that the configuration's group `trainer` asks for.

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


def check_rendezvous(hardware: Hardware, taken: Rendezvous | None) -> None:
    """Asserts that a launcher started as many processes as the configuration asks for.

    Raises:
        UserError: it did not.
    """
    wanted = hardware.processes
    if taken is None and hardware.nodes > 1:
        raise UserError(
            f"trainer.nodes is {hardware.nodes}: start the command on each machine with torchrun or SLURM's srun"
        )
    if taken is not None and taken.size != wanted:
        raise UserError(
            f"trainer.devices times trainer.nodes is {wanted}, but {taken.size} processes were started; "
            "make the two agree"
        )


def _devices(options: Mapping[str, Any]) -> int:
    wants_gpu = options.get("accelerator", "auto") in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return torch.cuda.device_count() if wants_gpu else ON_A_CPU


def _check_options(found: Hardware) -> None:
    try:
        alone = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(**{**alone, **found.options}, devices=1)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"trainer.options: {str(error).strip().splitlines()[0]}") from error
    available = torch.cuda.device_count()
    if found.options.get("accelerator") in ("gpu", "cuda") and found.devices > available:
        raise UserError(f"trainer.devices is {found.devices}: this machine has {available} GPUs")
