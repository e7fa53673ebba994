"""How the processes of a run meet: what their launcher says of each, and the process group that they form.

Every command asks whether a launcher started it before it knows that it will need torch, which is therefore imported
where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")
RENDEZVOUS = "CGPO_RENDEZVOUS"
"""The environment variable with the file by which processes of one machine meet, set by `cgpo.runs.launcher`."""
PATIENCE = timedelta(hours=6)
"""How long a process waits for the others; the watchdog tells much earlier what a run is waiting for."""


@dataclass(frozen=True)
class Rendezvous:
    """A process's place among the processes of a run, as its launcher says.

    Attributes:
        rank: its rank among all processes.
        local_rank: its rank among the processes of its machine.
        size: the number of processes.
        address: where they meet, as `torch.distributed.init_process_group` takes it.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1
    address: str = ""


def find_rendezvous(environment: Mapping[str, str] = os.environ) -> Rendezvous | None:
    """Finds this process's place, if `torchrun`, SLURM or `cgpo.runs.launcher` started it.

    Returns:
        The place, or `None` for a process that a person started.
    """
    if {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= environment.keys():
        rank, local_rank, size = (int(environment[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
        return Rendezvous(rank, local_rank, size, environment.get(RENDEZVOUS, "env://"))
    # Set for processes that srun started; python in a batch script is one process, however many tasks its job has.
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
    """Tells whether `cgpo.runs.launcher` started this process, with everything checked and the run's folder claimed."""
    return RENDEZVOUS in os.environ


def join(taken: Rendezvous) -> None:
    """Joins the process group of all processes, unless this process is already in one.

    Tensors on the CPU are exchanged by gloo, those on a GPU by NCCL.

    Args:
        taken: this process's place.
    """
    import torch
    from torch import distributed
    from torch._C._distributed_c10d import HashStore

    if distributed.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(taken.local_rank % torch.cuda.device_count())
    address: dict[str, Any] = {"init_method": taken.address} if taken.address else {"store": HashStore()}
    distributed.init_process_group(backend, **address, rank=taken.rank, world_size=taken.size, timeout=PATIENCE)


def broadcast(value: T) -> T:
    """Returns the value that the first process passes; with one process, the value itself."""
    from torch import distributed

    if not distributed.is_initialized():
        return value
    found = [value]
    distributed.broadcast_object_list(found, src=0)
    return found[0]


@contextmanager
def joined_processes(taken: Rendezvous) -> Generator[None]:
    """Joins the process group for the length of a block.

    At the end all processes wait for each other, for one that left early could abort the rest. A process that failed
    does not wait; the others notice that it is gone.

    Args:
        taken: this process's place.
    """
    from torch import distributed as torch_distributed

    distributed: Any = torch_distributed
    join(taken)
    try:
        yield
        distributed.barrier()
        distributed.destroy_process_group()
    finally:
        if taken.size == 1 and distributed.is_initialized():
            distributed.destroy_process_group()
