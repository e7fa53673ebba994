"""What a run's memory depends on: its models, where they lie, how they are spread, and how much text is in flight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from cgpo.bounds import check_fields
from cgpo.config import Precision, Strategy
from cgpo.errors import UserError
from cgpo.memory.shape import Shape

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
"""The bytes of one number by the name of its dtype; checkpoints (`auto`) are usually stored in bfloat16."""
INT4_GROUP = 32
"""The number of int4 weights that share a scale and a zero point of two bytes each."""


@dataclass(frozen=True)
class Layout:
    """How a run is spread over devices.

    Attributes:
        strategy: `single`, `ddp` (every model on every device) or `fsdp` (every model sharded over all devices).
        devices: the number of processes on a node, one device each.
        nodes: the number of machines.
        tensor_parallel: the number of processes that share one copy's matrices.
        precision: `32-true`, `bf16-mixed` (computation in bfloat16 on float32 weights) or `bf16-true`.

    Raises:
        UserError: a value is out of range, or the processes cannot be divided into tensor-parallel groups.
    """

    strategy: Strategy = "single"
    devices: Annotated[int, Ge(1)] = 1
    nodes: Annotated[int, Ge(1)] = 1
    tensor_parallel: Annotated[int, Ge(1)] = 1
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.processes % self.tensor_parallel:
            raise UserError(
                f"trainer.tensor_parallel is {self.tensor_parallel}: it must divide the {self.processes} processes"
            )

    @property
    def processes(self) -> int:
        """The number of processes on all nodes together."""
        return self.devices * self.nodes

    @property
    def replicas(self) -> int:
        """The data-parallel size: the number of parts of a task's batch."""
        return self.processes // self.tensor_parallel

    @property
    def shards(self) -> int:
        """The number of processes that a model's weights are divided among."""
        return self.processes if self.strategy == "fsdp" else 1


@dataclass(frozen=True)
class Weights:
    """One model's weights.

    Attributes:
        name: what a table calls the model.
        shape: its dimensions.
        dtype: the dtype of its weights, one of `BYTES`.
        quantization: `None`, `int8` or `int4`.
        device: `gpu`, or `cpu` for the host's memory.
        unsynchronized: whether each process uses the model in its own time, so that it is whole in each.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    quantization: str | None = None
    device: str = "gpu"
    unsynchronized: bool = False

    @property
    def unsharded(self) -> bool:
        """Whether the model is never sharded."""
        return self.unsynchronized or self.quantization is not None or self.device == "cpu"

    @property
    def stored(self) -> float:
        """The bytes of all its weights."""
        number = BYTES[self.dtype]
        if self.quantization is None:
            return self.shape.parameters * number
        each = 1.0 if self.quantization == "int8" else 0.5 + 4 / INT4_GROUP
        return self.shape.linear * each + (self.shape.parameters - self.shape.linear) * number


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        policy: the model that is trained.
        layout: how the run is spread over devices.
        reference: `π_ref`; `None` if it is the policy without its adapters.
        helpers: reward models and judge models, each once.
        rank: the rank of LoRA adapters; `None` trains all weights.
        targets: the layers that have adapters.
        checkpointing: whether activations are recomputed in the backward pass.
        max_tokens: the budget of a micro-batch, in tokens with padding.
        responses: the responses of the largest task in an iteration, over all processes.
        max_rows: the most responses that are decoded at a time; `None` for all of a process's.
        prompt_tokens: the tokens of a long prompt.
        response_tokens: the tokens of the longest response.
    """

    policy: Weights
    layout: Layout
    reference: Weights | None
    helpers: tuple[Weights, ...] = ()
    rank: int | None = None
    targets: str | list[str] = "all-linear"
    checkpointing: bool = True
    max_tokens: int = 8192
    responses: int = 256
    max_rows: int | None = None
    prompt_tokens: int = 512
    response_tokens: int = 1024

    @property
    def weight_number(self) -> int:
        """The bytes of one number of the weights that are trained."""
        return 2 if self.layout.precision == "bf16-true" else BYTES[self.policy.dtype]

    @property
    def compute_number(self) -> int:
        """The bytes of one number in the computation."""
        return self.weight_number if self.layout.precision == "32-true" else 2

    @property
    def trained(self) -> int:
        """The number of parameters with a gradient."""
        if self.rank is None:
            return self.policy.shape.parameters
        return self.policy.shape.adapters(self.rank, self.targets)
