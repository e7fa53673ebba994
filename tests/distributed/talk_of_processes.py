"""Processes that talk: `python -m tests.distributed.talk_of_processes PEERS FOLDER` leaves its answers."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh

from cgpo.distributed.process_group import Processes
from cgpo.distributed.rendezvous import Rendezvous, find_rendezvous, joined_processes

DTYPES = (torch.bool, torch.int64, torch.float32, torch.float64)


def tensors(rank: int) -> list[Tensor]:
    """`[n, 3r + 1, 2]` of every dtype, an odd number of bytes among them, and `[n]` whole numbers; `n = max(0, 2 - r)`.

    Floating-point numbers are such that no bit may be lost.
    """
    count, width = max(0, 2 - rank), 3 * rank + 1
    generator = torch.Generator().manual_seed(rank)
    numbers = torch.rand(count, width, 2, generator=generator, dtype=torch.float64) + rank
    found = [(numbers * (1 if d.is_floating_point else 3)).to(d) for d in DTYPES]
    return [*found, torch.arange(count) + 2**40 * (rank + 1)]


def processes_of(taken: Rendezvous, peers: int) -> Processes:
    mesh = init_device_mesh("cpu", (taken.size // peers, peers), mesh_dim_names=("data", "peers"))
    data, side = mesh["data"], mesh["peers"]
    return Processes(
        data.get_local_rank(), data.size(), data.get_group(), side.get_local_rank(), side.size(), side.get_group()
    )


def broadcast(processes: Processes, rank: int) -> dict[str, Any]:
    sums = [
        (rank + torch.zeros(2, 2)) * torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor(rank * 1e-12, dtype=torch.float64),
        torch.tensor([rank + (2**53 if rank == 0 else 0)]),
    ]
    processes.sum(sums)
    return {
        "largest": processes.largest(10 + rank),
        "any of one": processes.any(rank == 1),
        "any of none": processes.any(False),
        "objects": processes.objects({"rank": rank}),
        "first": processes.first,
        "alone": processes.alone,
        "rows": processes.rows(tensors(rank)),
        "sums": sums,
    }


def main() -> None:
    taken = find_rendezvous()
    assert taken is not None
    peers, folder = int(sys.argv[1]), Path(sys.argv[2])
    with joined_processes(taken):
        processes = processes_of(taken, peers)
        torch.save(broadcast(processes, taken.rank), folder / f"told-{taken.rank}.pt")
        distributed.barrier()
        assert distributed.get_world_size() == taken.size


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
