"""The schema's sections about models: which one is trained, how its weights step, and on what hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import field_validator, model_validator

from cgpo.bounds import Unit
from cgpo.config.sections import Count, Example, Positive, Section, Texts, Values, Whole
from cgpo.errors import UserError

Strategy = Literal["single", "ddp", "fsdp"]
"""How processes share a run: one process, a whole copy of the models in each, or a shard of every model in each."""
Precision = Literal["32-true", "bf16-mixed", "bf16-true"]
"""Lightning's name of the precision of weights and computation."""

TAKEN = {
    "strategy": "trainer.strategy",
    "devices": "trainer.devices",
    "num_nodes": "trainer.nodes",
    "precision": "trainer.precision",
    "plugins": "the run itself",
}
"""Options of `lightning.Trainer` that have keys of their own, or that a run sets."""


class LoraConfig(Section):
    """Low-rank adapters: each targeted matrix `W` becomes `W + alpha / r · B·A`, and only `A` and `B` are trained."""

    r: Count = 16
    """The rank of `B·A`."""
    alpha: Positive = 32.0
    """The scale of the product `B·A`, times `r`."""
    dropout: float = 0.0
    """Always 0, since log-probabilities must be those of the policy that sampled."""
    targets: Literal["all-linear"] | Texts = "all-linear"
    """Names of linear layers as they end (`[q_proj, v_proj]`), or `all-linear` for all but the output layer."""
    seed: Whole = 0
    """The seed of `A`; `B` begins at 0, so that fresh adapters change nothing."""

    @field_validator("dropout")
    @classmethod
    def _no_dropout(cls, value: float) -> float:
        if value != 0:
            raise UserError(
                f"model.lora.dropout is {value!r}: it must be 0, "
                "since log-probabilities must be those of the policy that sampled"
            )
        return value

    @field_validator("targets")
    @classmethod
    def _some_targets(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value:
            raise UserError("model.lora.targets is []: it must be all-linear, or a list of names")
        return value


class ModelConfig(Section):
    """The policy to start from, which is the reference that its KL divergence is measured from, too."""

    path: Annotated[
        str, Example("the model to train, a folder or a hub id, model.path=HuggingFaceTB/SmolLM2-135M-Instruct")
    ]
    """A folder, a hub id, or a result of the pipeline, `artifact:NAME`."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The precision of the weights that are trained."""
    gradient_checkpointing: bool = False
    """Whether activations are computed anew in the backward pass, which saves memory and costs a third more time."""
    lora: LoraConfig | None = None
    """Adapters that are then all that is trained, such as `{r: 16, alpha: 32}`; null trains all weights."""
    size: str | None = None
    """Which of `paths` is taken: `full`, or `tiny` to try a recipe on a laptop."""
    paths: Mapping[str, str] | None = None
    """Where the model lies at each size."""
    architecture: Values | None = None
    """What the model's `config.json` says, so that its memory can be planned without the hub."""


class OptimConfig(Section):
    """The step on the weights, once an update: AdamW on the weighted sum of all tasks' gradients (Algorithm 2)."""

    learning_rate: Positive
    """The highest learning rate, reached at the end of the warm-up; each optimizer brings one that suits it."""
    warmup_steps: Annotated[int, Ge(0), Unit("updates")]
    """Updates over which the learning rate rises linearly to its highest."""
    final_factor: Annotated[float, Ge(0), Le(1)]
    """The learning rate at the end as a share of the highest, reached along a cosine; 1 keeps it constant."""
    weight_decay: Annotated[float, Ge(0)]
    """AdamW's weight decay, as a share of a weight for each unit of the learning rate."""
    clip_norm: Positive | None
    """The norm of all weights' gradient together that it is scaled down to where it is larger; null for no limit."""


class UpdateConfig(Section):
    """How a task's objective becomes a gradient."""

    max_tokens: Annotated[int, Ge(1), Unit("tokens")]
    """The most tokens, padding included, of one forward and backward pass; a batch that has more is cut in pieces."""
    epochs: Count
    """Steps on each rollout."""
    packing: bool
    """Whether several responses share a row without padding between them, which needs flash attention to pay."""
    recompute_logprobs: bool | Literal["auto"]
    """Whether the policy's log-probabilities come from a pass of their own, not from the sampler; auto in bfloat16."""
    critic_learning_rate: Positive | None
    """The learning rate of the value function, where the optimizer needs one; null for none."""


class TrainerConfig(Section):
    """The hardware of a run, and how several processes share it."""

    strategy: Strategy
    """`single` process, `ddp` (a whole copy of the models in each) or `fsdp` (a piece of every model in each)."""
    devices: Count | Literal["auto"]
    """Processes of a machine, each with a device of its own; auto for every GPU, or two on a CPU."""
    nodes: Annotated[int, Ge(1), Unit("machines")]
    """Machines that run together."""
    tensor_parallel: Annotated[int, Ge(1), Unit("processes")]
    """Neighbouring processes that share each matrix of one copy; with `fsdp` only."""
    precision: Precision
    """`bf16-mixed` computes in bfloat16 on weights as `model.dtype` says; `bf16-true` has them in bfloat16, too."""
    threads: Count | Literal["auto"]
    """Threads of torch on a CPU; auto measures the fastest number when the run starts."""
    resume: str | None
    """Which run is gone on with: auto for the one that was cut off, or a run's folder; null begins a new one."""
    options: Values
    """Further arguments of `lightning.Trainer`, such as `accelerator`."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainerConfig:
        for option in self.options:
            if option in TAKEN:
                raise UserError(f"trainer.options.{option}: this is set by {TAKEN[option]}")
        if (
            self.strategy == "single"
            and (processes := self.nodes * (1 if self.devices == "auto" else self.devices)) > 1
        ):
            raise UserError(f"trainer.devices: {processes} processes need trainer=ddp or trainer=fsdp")
        if self.tensor_parallel > 1 and self.strategy != "fsdp":
            raise UserError(f"trainer.tensor_parallel is {self.tensor_parallel}: this needs trainer=fsdp_tp")
        if self.devices != "auto":
            self.check_parallel(self.devices)
        return self

    def check_parallel(self, devices: int) -> None:
        """Asserts that the tensor-parallel groups come out even.

        Args:
            devices: processes of a machine, where `devices` leaves the number to us.

        Raises:
            UserError: they do not.
        """
        if devices * self.nodes % self.tensor_parallel:
            processes = devices * self.nodes
            raise UserError(
                f"trainer.tensor_parallel is {self.tensor_parallel}: it must divide the {processes} processes"
            )
