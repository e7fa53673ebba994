"""Lightning's strategies for several devices, adapted to the constrained step."""

from __future__ import annotations

from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import distributed, nn

from cgpo.distributed.process_group import ALONE, Processes
from cgpo.distributed.rendezvous import Rendezvous


class Replicated(DDPStrategy):
    """Keeps a full copy on each device; the step itself adds up gradients, once an update.

    DDP's wrapper would add them up in each backward pass, and devices have different numbers of these: their responses
    differ in length, and some have none that counts.
    """

    def _setup_model(self, model: nn.Module) -> Any:
        return model

    def _register_ddp_hooks(self) -> None:
        """Does nothing, since there is no wrapper."""


def strategy_of(name: str, devices: int, nodes: int, tensor_parallel: int) -> Any:
    """Returns what `lightning.Trainer` takes as its strategy.

    Args:
        name: `single`, `ddp` or `fsdp`.
        devices: the number of processes of a machine.
        nodes: the number of machines.
        tensor_parallel: the number of processes that share one copy's matrices.
    """
    if name == "single":
        return "auto"
    if name == "ddp":
        return Replicated()
    copies = devices * nodes // tensor_parallel
    return ModelParallelStrategy(data_parallel_size=copies, tensor_parallel_size=tensor_parallel)


def processes_of(trainer: Trainer) -> Processes:
    """Returns the processes that share the batch, once the trainer's processes are connected."""
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
    """Returns the data-parallel and the tensor-parallel mesh, or `None` if models are not sharded."""
    strategy = trainer.strategy
    if not isinstance(strategy, ModelParallelStrategy):
        return None
    return strategy.device_mesh["data_parallel"], strategy.device_mesh["tensor_parallel"]


class Joined(ClusterEnvironment):
    """Describes processes to Lightning that are connected already.

    Args:
        rendezvous: this process's place among them.
        devices: the number of processes of a machine.
    """

    def __init__(self, rendezvous: Rendezvous, devices: int) -> None:
        self._rendezvous = rendezvous
        self._devices = devices

    @property
    def creates_processes_externally(self) -> bool:
        """True: a launcher has made the processes."""
        return True

    @property
    def main_address(self) -> str:
        """Not used, since the processes are connected."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Not used, since the processes are connected."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Returns false: Lightning must not choose this environment by itself."""
        return False

    def world_size(self) -> int:
        """Returns the number of processes."""
        return self._rendezvous.size

    def set_world_size(self, size: int) -> None:
        """Does nothing, since the value is known."""

    def global_rank(self) -> int:
        """Returns this process's rank among all."""
        return self._rendezvous.rank

    def set_global_rank(self, rank: int) -> None:
        """Does nothing, since the value is known."""

    def local_rank(self) -> int:
        """Returns this process's rank on its machine."""
        return self._rendezvous.local_rank

    def node_rank(self) -> int:
        """Returns the rank of the machine."""
        return self._rendezvous.rank // self._devices
