"""How the processes of a run meet: what their launcher says of each, and the process group that they form.

Every command asks whether a launcher started it, before it knows that it will need torch: torch is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")
RENDEZVOUS = "CGPO_RENDEZVOUS"
"""Names the file by which processes of one machine meet, where `cgpo.runs.launcher` started them."""
PATIENCE = timedelta(hours=6)
"""How long a process waits for the others; the watchdog says long before what a run waits for."""


@dataclass(frozen=True)
class Rendezvous:
    """What a launcher says of one process.

    Attributes:
        rank: among all processes.
        local_rank: among those of the same machine.
        size: all processes.
        address: where they meet, as `torch.distributed.init_process_group` takes it.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1
    address: str = ""


def find_rendezvous(environment: Mapping[str, str] = os.environ) -> Rendezvous | None:
    """This process's place among all, where `torchrun`, SLURM or our own launcher started it; `None` where a person did."""
    if {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= environment.keys():
        rank, local_rank, size = (int(environment[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
        return Rendezvous(rank, local_rank, size, environment.get(RENDEZVOUS, "env://"))
    # What srun started; a batch script's own python is one process, however many tasks its job may have.
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return _slurm_rendezvous()
    return None


def _slurm_rendezvous() -> Rendezvous | None:
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    if not SLURMEnvironment.detect():
        return None
    slurm = SLURMEnvironment(auto_requeue=False)
    address = f"tcp://{slurm.main_address}:{slurm.main_port}"
    return Rendezvous(slurm.global_rank(), slurm.local_rank(), slurm.world_size(), address)


def supervised() -> bool:
    """Whether our own launcher started this process: it has checked everything, and has claimed the run's folder."""
    return RENDEZVOUS in os.environ


def join(taken: Rendezvous) -> None:
    """Forms the process group with the others; does nothing where there is one already.

    Tensors on the CPU are exchanged by gloo, those on a GPU by NCCL.
    """
    import torch
    from torch import distributed
    from torch._C._distributed_c10d import HashStore

    if distributed.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(taken.local_rank % torch.cuda.device_count())
    meeting: dict[str, Any] = {"init_method": taken.address} if taken.address else {"store": HashStore()}
    distributed.init_process_group(backend, **meeting, rank=taken.rank, world_size=taken.size, timeout=PATIENCE)


def broadcast(value: T) -> T:
    """What the first of the processes says, where there are several."""
    from torch import distributed

    if not distributed.is_initialized():
        return value
    found = [value]
    distributed.broadcast_object_list(found, src=0)
    return found[0]


@contextmanager
def joined_processes(taken: Rendezvous) -> Iterator[None]:
    """The others are there meanwhile; at the end all wait for each other: one that left early could abort the rest."""
    from torch import distributed

    join(taken)
    try:
        yield
        distributed.barrier()
        distributed.destroy_process_group()
    finally:
        # One that failed does not wait: the others notice that it is gone.
        if taken.size == 1 and distributed.is_initialized():
            distributed.destroy_process_group()
