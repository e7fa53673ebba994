"""From a run to the bytes of each process, by part and by phase."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cgpo.memory.job import BYTES, Job, Weights
from cgpo.memory.shape import (
    AUTOCAST,
    BFLOAT16,
    FLOAT32,
    ActivationBytes,
    Shape,
    cache_bytes,
    layer_activations,
    logit_bytes,
    update_activations,
)
from cgpo.policy.token_logprobs import GPU_LOGIT_BUDGET

PHASES = ("rollout", "scoring", "update", "step")
"""`rollout` samples; `scoring` runs reward models, judges and the reference; `update` accumulates gradients; `step`
changes the weights."""
PREFETCHED = 2
"""Layers whose weights are gathered at the same time: one computes while the next one arrives."""
OVERHEAD = 1.5e9
"""Bytes of a GPU's context, its libraries' workspaces, and communication buffers."""


@dataclass(frozen=True)
class Part:
    """Something that takes memory.

    Attributes:
        name: what a table calls it.
        bytes: its bytes in each process.
        phases: the phases in which it exists.
        host: whether it lies in the host's memory rather than in a GPU's.
        first: whether only the first process of a host has it.
    """

    name: str
    bytes: float
    phases: tuple[str, ...] = PHASES
    host: bool = False
    first: bool = False


@dataclass(frozen=True)
class MemoryEstimate:
    """A run's memory.

    Attributes:
        job: the run.
        parts: everything that takes memory in a process.
    """

    job: Job
    parts: tuple[Part, ...]

    def gpu(self, phase: str) -> float:
        """Adds up the bytes of a GPU in a phase."""
        return sum(part.bytes for part in self.parts if phase in part.phases and not part.host)

    @property
    def peak_phase(self) -> str:
        """The phase that takes the most memory of a GPU."""
        return max(PHASES, key=self.gpu)

    @property
    def peak(self) -> float:
        """The bytes of a GPU in the phase that takes most."""
        return self.gpu(self.peak_phase)

    @property
    def host(self) -> float:
        """The bytes of the first host's memory that all its processes take in the phase that takes most."""
        parts = [part for part in self.parts if part.host]
        sums = dict.fromkeys((phase for part in parts for phase in part.phases), 0.0)
        for part in parts:
            for phase in part.phases:
                sums[phase] += part.bytes if part.first else part.bytes * self.job.layout.devices
        return max(sums.values(), default=0.0)


def estimate(job: Job) -> MemoryEstimate:
    """Estimates the memory of a run.

    Weights, gradients and AdamW's moments are exact except for padding; activations are counted from Llama's layer;
    fragmentation is not included.
    """
    return MemoryEstimate(job, tuple(part for part in (*_training(job), *_models(job), *_work(job)) if part.bytes))


def _training(job: Job) -> Iterable[Part]:
    """Yields what training holds of the policy."""
    shards, policy = job.layout.shards, job.policy.shape
    number = job.weight_number if job.rank is None else BYTES["float32"]
    trained = job.trained * number / shards
    yield Part("policy: master weights", policy.parameters * job.weight_number / shards)
    if job.rank is not None:
        yield Part("policy: adapters", trained)
    yield Part("AdamW: moments", 2 * trained)
    yield Part("gradients", trained, ("update", "step"))
    # AdamW on a GPU works on all tensors at once, and allocates one more of each on the way.
    yield Part("AdamW: temporaries", trained, ("step",))
    if job.layout.strategy != "fsdp" and job.layout.precision == "bf16-mixed":
        yield Part("policy: autocast's copy of the weights", policy.parameters * 2, ("rollout", "update"))


def _models(job: Job) -> Iterable[Part]:
    """Yields the models that are not trained, and loading, in which a model is read whole before it is sharded."""
    fsdp = job.layout.strategy == "fsdp"
    # The reference is split over tensor-parallel peers as the policy is; of a reward model each of them has a copy.
    pieces = [(job.reference, job.layout.shards)] if job.reference else []
    pieces += [(model, job.layout.replicas if fsdp else 1) for model in job.helpers]
    for model, shards in pieces:
        yield Part(model.name, model.stored / (1 if model.unsharded else shards), host=model.device == "cpu")

    # The first process reads what is sharded for all; a reference elsewhere, or quantized, is made by each process.
    first = fsdp and (job.reference is None or not job.reference.unsharded)
    copies = 1 if job.reference is None else 2
    name = f"loading: the policy{'' if copies == 1 else ' and its reference'}{' (first process)' if first else ''}"
    yield Part(name, copies * job.policy.stored, ("loading",), host=True, first=first)
    largest = max((model.stored for model in job.helpers), default=0.0)
    yield Part("loading: the largest other model", largest, ("loading",), host=True)


def _work(job: Job) -> Iterable[Part]:
    """Yields what exists only during a computation."""
    layout, shape, number = job.layout, job.policy.shape, job.compute_number
    saved, split = _saved_activations(job), layout.tensor_parallel
    rows = math.ceil(job.responses / layout.replicas)
    rows = rows if job.max_rows is None else min(rows, job.max_rows)
    if layout.strategy == "fsdp":
        yield Part("rollout: gathered weights", shape.parameters * number / split, ("rollout",))
        yield Part("update: gathered layers", _gathered_layers(job.policy, number, split), ("update",))
        yield Part("update: a layer's whole gradient", shape.layer * job.weight_number / split, ("update",))
    tokens = job.prompt_tokens + job.response_tokens
    yield Part("rollout: keys and values", cache_bytes(shape, rows, tokens, number, split), ("rollout",))
    yield Part("rollout: logits of a step", rows * shape.vocabulary * (number + 2 * 4), ("rollout",))
    budget = max(job.max_tokens, tokens)
    activations = update_activations(shape, budget, saved, job.checkpointing, split)
    yield Part("update: activations", activations, ("update",))
    yield Part("update: a chunk of logits", logit_bytes(shape, min(_chunk(shape), budget)), ("update",))
    yield Part("scoring: activations", max(_scoring(job, model, budget) for model in _scorers(job)), ("scoring",))
    yield Part("context and workspaces", OVERHEAD)


def _scorers(job: Job) -> list[Weights]:
    """Lists the models that only run forward on the GPU, the policy for a reference that shares its weights."""
    reference = job.reference or job.policy
    return [model for model in (reference, *job.helpers) if model.device != "cpu"] or [job.policy]


def _scoring(job: Job, model: Weights, tokens: int) -> float:
    """Counts a forward pass without gradients: one layer at a time, with all weights gathered if they are sharded."""
    number = min(BYTES[model.dtype], job.compute_number)
    layer = layer_activations(model.shape, tokens, BFLOAT16 if number == 2 else FLOAT32)
    split = job.layout.tensor_parallel if model in (job.policy, job.reference) else 1
    is_gathered = job.layout.strategy == "fsdp" and not model.unsharded
    gathered = model.shape.parameters * number / split if is_gathered else 0.0
    return layer / 2 + gathered + logit_bytes(model.shape, min(_chunk(model.shape), tokens)) / 2


def _gathered_layers(model: Weights, number: int, split: int) -> float:
    """Counts the layers in flight, and the embeddings and the head, which belong to the root and stay gathered."""
    outside = model.shape.parameters - model.shape.layers * model.shape.layer
    return (PREFETCHED * model.shape.layer + outside) * number / split


def _saved_activations(job: Job) -> ActivationBytes:
    if job.compute_number == 4:
        return FLOAT32
    layout = job.layout
    autocast = layout.precision == "bf16-mixed" and layout.strategy != "fsdp" and job.weight_number == 4
    return AUTOCAST if autocast else BFLOAT16


def _chunk(shape: Shape) -> int:
    """The number of tokens whose logits are in memory at a time."""
    return GPU_LOGIT_BUDGET // shape.vocabulary
