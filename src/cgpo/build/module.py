"""From a configuration to the module that is trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from cgpo.build.devices import training_device
from cgpo.build.policies import dtype_of
from cgpo.config import TrainConfig
from cgpo.policy.causal import CausalPolicy, frozen_reference
from cgpo.tasks.expert import Expert
from cgpo.training.hardware import Hardware
from cgpo.training.module import CGPOModule
from cgpo.training.schedule import WarmupCosine
from cgpo.training.update import ConstrainedUpdate

HALF = ("bfloat16", "float16")


def build_module(
    config: TrainConfig, hardware: Hardware, policy: CausalPolicy, experts: Sequence[Expert]
) -> CGPOModule:
    """The module of a configuration whose references are resolved.

    Raises:
        UserError: the reference cannot be put where it is to be.
    """
    optim = config.optim
    return CGPOModule(
        policy=policy,
        tasks=experts,
        update=build_update(config),
        weight_optimizer=partial(torch.optim.AdamW, lr=optim.learning_rate, weight_decay=optim.weight_decay),
        schedule=WarmupCosine(config.updates, optim.warmup_steps, optim.final_factor),
        seed=config.seed,
        clip_norm=optim.clip_norm,
        baseline_responses=config.baseline_responses,
        mixed=hardware.mixed_shards,
        reference=_reference(config, policy),
    )


def build_update(config: TrainConfig) -> ConstrainedUpdate:
    """The constrained update of a configuration.

    In half precision sampler and update differ by half a nat a response: `recompute_logprobs: auto` takes the policy's
    own numbers there.
    """
    settings = config.update
    recompute = settings.recompute_logprobs
    if recompute == "auto":
        recompute = dtype_of(config) in HALF or config.trainer.precision == "bf16-mixed"
    return ConstrainedUpdate(
        max_tokens=settings.max_tokens,
        recompute_logprobs=recompute,
        packing=settings.packing,
        epochs=settings.epochs,
        critic_learning_rate=settings.critic_learning_rate,
    )


def _reference(config: TrainConfig, policy: CausalPolicy) -> CausalPolicy | None:
    """The reference, where it is to lie elsewhere than the policy, or in fewer bits."""
    device, quantization = config.reference_device, config.reference_quantization
    if device is None and quantization is None:
        return None
    return frozen_reference(policy, device or training_device(config.trainer), quantization)
