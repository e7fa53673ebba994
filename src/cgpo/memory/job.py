"""What a run's memory depends on: its models, where they lie, how they are spread, and how much text is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from cgpo.errors import UserError
from cgpo.memory.shape import Shape

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
"""Of a number, by the dtype's name; checkpoints (`auto`) are stored in bfloat16 nowadays."""
STRATEGIES = ("single", "ddp", "fsdp")
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")
INT4_GROUP = 32
"""Weights that share a scale and a zero point, two bytes each."""


@dataclass(frozen=True)
class Strategy:
    """How a run is spread over devices.

    Attributes:
        name: `single`, `ddp` (every model on every device) or `fsdp` (every model sharded over all of them).
        devices: processes a node, one device each.
        nodes: machines.
        tensor_parallel: processes that share one copy's matrices.
        precision: `32-true`, `bf16-mixed` (computation in bfloat16 on float32 weights) or `bf16-true`.

    Raises:
        UserError: a value is not one of these, or the processes cannot be divided so.
    """

    name: str = "single"
    devices: int = 1
    nodes: int = 1
    tensor_parallel: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for key, value, choices in (("strategy", self.name, STRATEGIES), ("precision", self.precision, PRECISIONS)):
            if value not in choices:
                raise UserError(f"trainer.{key} is {value!r}: choose {', '.join(choices)}")
        for key in ("devices", "nodes", "tensor_parallel"):
            if not isinstance(getattr(self, key), int) or getattr(self, key) < 1:
                raise UserError(f"trainer.{key} is {getattr(self, key)!r}: it must be a whole number of at least 1")
        if self.processes % self.tensor_parallel:
            raise UserError(
                f"trainer.tensor_parallel is {self.tensor_parallel}: it must divide the {self.processes} processes"
            )

    @property
    def processes(self) -> int:
        """Of all nodes together."""
        return self.devices * self.nodes

    @property
    def replicas(self) -> int:
        """Data-parallel size: shares that a task's batch is cut into."""
        return self.processes // self.tensor_parallel

    @property
    def shards(self) -> int:
        """Processes among which a model's weights are divided."""
        return self.processes if self.name == "fsdp" else 1


@dataclass(frozen=True)
class Weights:
    """One model's weights.

    Attributes:
        name: what a table calls it.
        shape: its numbers.
        dtype: as `BYTES` names them.
        quantization: `None`, `int8` or `int4`.
        device: `gpu`, or `cpu` for the host's memory.
        asked_alone: each process asks it in its own time, so that it is whole in each.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    quantization: str | None = None
    device: str = "gpu"
    asked_alone: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is never cut in pieces."""
        return self.asked_alone or self.quantization is not None or self.device == "cpu"

    @property
    def stored(self) -> float:
        """Bytes of all its weights."""
        whole = BYTES[self.dtype]
        if self.quantization is None:
            return self.shape.parameters * whole
        each = 1.0 if self.quantization == "int8" else 0.5 + 4 / INT4_GROUP
        return self.shape.linear * each + (self.shape.parameters - self.shape.linear) * whole


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        policy: what is trained.
        strategy: how it is spread.
        reference: `π_ref`; `None` where it is the policy without its adapters.
        helpers: reward models and judge models, each once.
        rank: of LoRA adapters; `None` trains all weights.
        targets: the layers that have adapters.
        checkpointing: whether activations are recomputed in the backward pass.
        max_tokens: budget of a micro-batch, in tokens with padding.
        responses: responses of the largest task in an iteration, over all processes.
        most_rows: the most responses that are drawn at a time; `None` for all of a process's.
        prompt_tokens: a long prompt.
        response_tokens: the longest response.
    """

    policy: Weights
    strategy: Strategy
    reference: Weights | None
    helpers: tuple[Weights, ...] = field(default=())
    rank: int | None = None
    targets: str | list[str] = "all-linear"
    checkpointing: bool = True
    max_tokens: int = 8192
    responses: int = 256
    most_rows: int | None = None
    prompt_tokens: int = 512
    response_tokens: int = 1024

    @property
    def master(self) -> int:
        """Bytes of a number of the weights that are trained."""
        return 2 if self.strategy.precision == "bf16-true" else BYTES[self.policy.dtype]

    @property
    def computing(self) -> int:
        """Bytes of a number in the computation."""
        return self.master if self.strategy.precision == "32-true" else 2

    @property
    def trained(self) -> int:
        """Parameters that have a gradient."""
        if self.rank is None:
            return self.policy.shape.parameters
        return self.policy.shape.adapters(self.rank, self.targets)
