"""From a run to the bytes of each process, by part and by phase."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cgpo.memory.job import BYTES, Job, Weights
from cgpo.memory.shape import AUTOCAST, BFLOAT16, FLOAT32, Kept, Shape, of_cache, of_layer, of_logits, of_update
from cgpo.policy.token_logprobs import GPU_LOGIT_BUDGET

PHASES = ("rollout", "scoring", "update", "step")
"""`rollout` draws; `scoring` asks reward models, judges and the reference; `update` adds gradients up; `step` changes
the weights."""
PREFETCHED = 2
"""Layers whose weights are gathered at the same time: one computes while the next one arrives."""
OVERHEAD = 1.5e9
"""Bytes of a GPU's context, its libraries' workspaces, and buffers of the communication."""


@dataclass(frozen=True)
class Part:
    """Something that takes memory.

    Attributes:
        name: what a table calls it.
        bytes: in each process.
        phases: when it is there.
        host: whether it lies in the host's memory and not in a GPU's.
        first: it is there in the first process of a host alone.
    """

    name: str
    bytes: float
    phases: tuple[str, ...] = PHASES
    host: bool = False
    first: bool = False


@dataclass(frozen=True)
class Estimate:
    """A run's memory.

    Attributes:
        job: the run.
        parts: of each process.
    """

    job: Job
    parts: tuple[Part, ...]

    def gpu(self, phase: str) -> float:
        """Bytes of a GPU in a phase."""
        return sum(part.bytes for part in self.parts if phase in part.phases and not part.host)

    @property
    def peak(self) -> str:
        """The phase that takes most."""
        return max(PHASES, key=self.gpu)

    @property
    def most(self) -> float:
        """Bytes of a GPU in that phase."""
        return self.gpu(self.peak)

    @property
    def host(self) -> float:
        """Bytes of the first host's memory: of all its processes, at the most in any phase."""
        parts = [part for part in self.parts if part.host]
        sums = dict.fromkeys((phase for part in parts for phase in part.phases), 0.0)
        for part in parts:
            for phase in part.phases:
                sums[phase] += part.bytes if part.first else part.bytes * self.job.strategy.devices
        return max(sums.values(), default=0.0)


def estimate(job: Job) -> Estimate:
    """The memory of a run.

    Weights, gradients and AdamW's moments are exact but for padding; activations are counted from Llama's layer;
    fragmentation is not in it.
    """
    return Estimate(job, tuple(part for part in (*_state(job), *_models(job), *_work(job)) if part.bytes))


def _state(job: Job) -> Iterable[Part]:
    """What training holds of the policy."""
    shards, policy = job.strategy.shards, job.policy.shape
    number = job.master if job.rank is None else BYTES["float32"]
    trained = job.trained * number / shards
    yield Part("policy: master weights", policy.parameters * job.master / shards)
    if job.rank is not None:
        yield Part("policy: adapters", trained)
    yield Part("AdamW: moments", 2 * trained)
    yield Part("gradients", trained, ("update", "step"))
    # AdamW on a GPU works on all tensors at once, and makes one more of each on the way.
    yield Part("AdamW: temporaries", trained, ("step",))
    if job.strategy.name != "fsdp" and job.strategy.precision == "bf16-mixed":
        yield Part("policy: autocast's copy of the weights", policy.parameters * 2, ("rollout", "update"))


def _models(job: Job) -> Iterable[Part]:
    """What is not trained, and what loading takes: a model is read whole before it is put in its place."""
    fsdp = job.strategy.name == "fsdp"
    # The reference is cut over tensor-parallel peers as the policy is; a reward model has a copy with each of them.
    pieces = [(job.reference, job.strategy.shards)] if job.reference else []
    pieces += [(model, job.strategy.replicas if fsdp else 1) for model in job.helpers]
    for model, shards in pieces:
        yield Part(model.name, model.stored / (1 if model.whole else shards), host=model.device == "cpu")

    # Of pieces the first process reads them all; a reference that lies elsewhere, or in fewer bits, is made by each.
    first = fsdp and (job.reference is None or not job.reference.whole)
    copies = 1 if job.reference is None else 2
    name = f"loading: the policy{'' if copies == 1 else ' and its reference'}{' (first process)' if first else ''}"
    yield Part(name, copies * job.policy.stored, ("loading",), host=True, first=first)
    largest = max((model.stored for model in job.helpers), default=0.0)
    yield Part("loading: the largest other model", largest, ("loading",), host=True)


def _work(job: Job) -> Iterable[Part]:
    """What is there while something is computed."""
    strategy, shape, number = job.strategy, job.policy.shape, job.computing
    kept, split = _kept(job), strategy.tensor_parallel
    rows = math.ceil(job.responses / strategy.replicas)
    rows = rows if job.most_rows is None else min(rows, job.most_rows)
    if strategy.name == "fsdp":
        yield Part("rollout: gathered weights", shape.parameters * number / split, ("rollout",))
        yield Part("update: gathered layers", _gathered(job.policy, number, split), ("update",))
        yield Part("update: a layer's whole gradient", shape.layer * job.master / split, ("update",))
    tokens = job.prompt_tokens + job.response_tokens
    yield Part("rollout: keys and values", of_cache(shape, rows, tokens, number, split), ("rollout",))
    yield Part("rollout: logits of a step", rows * shape.vocabulary * (number + 2 * 4), ("rollout",))
    budget = max(job.max_tokens, tokens)
    yield Part("update: activations", of_update(shape, budget, kept, job.checkpointing, split), ("update",))
    yield Part("update: a chunk of logits", of_logits(shape, min(_chunk(shape), budget)), ("update",))
    yield Part("scoring: activations", max(_scoring(job, model, budget) for model in _scorers(job)), ("scoring",))
    yield Part("context and workspaces", OVERHEAD)


def _scorers(job: Job) -> list[Weights]:
    """The models on the GPU that only run forwards; the policy stands in for a reference that shares its weights."""
    reference = job.reference or job.policy
    return [model for model in (reference, *job.helpers) if model.device != "cpu"] or [job.policy]


def _scoring(job: Job, model: Weights, tokens: int) -> float:
    """Bytes of a forward pass without gradients: one layer at a time, all weights gathered where they are sharded."""
    number = min(BYTES[model.dtype], job.computing)
    layer = of_layer(model.shape, tokens, BFLOAT16 if number == 2 else FLOAT32)
    cut = job.strategy.tensor_parallel if model in (job.policy, job.reference) else 1
    gathered_weights = model.shape.parameters * number / cut if job.strategy.name == "fsdp" and not model.whole else 0.0
    return layer / 2 + gathered_weights + of_logits(model.shape, min(_chunk(model.shape), tokens)) / 2


def _gathered(model: Weights, number: int, split: int) -> float:
    """Layers in flight, and the embeddings and the head, which belong to the root and stay."""
    outside = model.shape.parameters - model.shape.layers * model.shape.layer
    return (PREFETCHED * model.shape.layer + outside) * number / split


def _kept(job: Job) -> Kept:
    if job.computing == 4:
        return FLOAT32
    autocast = job.strategy.precision == "bf16-mixed" and job.strategy.name != "fsdp" and job.master == 4
    return AUTOCAST if autocast else BFLOAT16


def _chunk(shape: Shape) -> int:
    """Tokens whose logits are in memory at a time."""
    return GPU_LOGIT_BUDGET // shape.vocabulary
