"""How several devices train one policy: Lightning's strategies, with the constrained step's own needs."""

from __future__ import annotations

from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import distributed, nn

from cgpo.distributed.process_group import ALONE, Processes
from cgpo.distributed.rendezvous import Rendezvous


class Replicated(DDPStrategy):
    """Each device has a whole copy; the step itself adds up gradients, once an update.

    DDP's wrapper would add them up in each backward pass, of which devices have different numbers here: their responses
    differ in length, and some have none that counts.
    """

    def _setup_model(self, model: nn.Module) -> Any:
        return model

    def _register_ddp_hooks(self) -> None:
        """There is no wrapper to hook into."""


def strategy_of(name: str, devices: int, nodes: int, tensor_parallel: int) -> Any:
    """What `lightning.Trainer` takes as its strategy.

    Args:
        name: `single`, `ddp` or `fsdp`.
        devices: processes of a machine.
        nodes: machines.
        tensor_parallel: processes that share one copy's matrices.
    """
    if name == "single":
        return "auto"
    if name == "ddp":
        return Replicated()
    copies = devices * nodes // tensor_parallel
    return ModelParallelStrategy(data_parallel_size=copies, tensor_parallel_size=tensor_parallel)


def processes_of(trainer: Trainer) -> Processes:
    """Who shares the batch, once the trainer's processes have met."""
    strategy = trainer.strategy
    if isinstance(strategy, ModelParallelStrategy):
        data, peers = strategy.device_mesh["data_parallel"], strategy.device_mesh["tensor_parallel"]
        return Processes(
            data.get_local_rank(),
            data.size(),
            data.get_group(),
            peers.get_local_rank(),
            peers.size(),
            peers.get_group(),
        )
    if isinstance(strategy, DDPStrategy):
        return Processes(trainer.global_rank, trainer.world_size, distributed.group.WORLD)
    return ALONE


def meshes_of(trainer: Trainer) -> tuple[Any, Any] | None:
    """The data-parallel and the tensor-parallel mesh, where models are to lie in pieces."""
    strategy = trainer.strategy
    if not isinstance(strategy, ModelParallelStrategy):
        return None
    return strategy.device_mesh["data_parallel"], strategy.device_mesh["tensor_parallel"]


class Joined(ClusterEnvironment):
    """Tells Lightning of processes that have met already.

    Args:
        taken: this process's seat.
        devices: processes of a machine.
    """

    def __init__(self, taken: Rendezvous, devices: int) -> None:
        self._taken = taken
        self._devices = devices

    @property
    def creates_processes_externally(self) -> bool:
        """Always."""
        return True

    @property
    def main_address(self) -> str:
        """Not asked for any more."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Not asked for any more."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never by itself."""
        return False

    def world_size(self) -> int:
        """All processes."""
        return self._taken.size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """Among all."""
        return self._taken.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """Among those of the machine."""
        return self._taken.local_rank

    def node_rank(self) -> int:
        """Of the machine."""
        return self._taken.rank // self._devices
