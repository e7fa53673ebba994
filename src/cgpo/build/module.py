"""From a plan to the module that is trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from cgpo.build.components import make
from cgpo.build.devices import training_device
from cgpo.build.plan import Config
from cgpo.policy.causal import CausalPolicy, frozen_reference
from cgpo.tasks.expert import Expert
from cgpo.training.hardware import Hardware
from cgpo.training.module import CGPOModule
from cgpo.training.schedule import WarmupCosine


def build_module(plan: Config, hardware: Hardware, policy: CausalPolicy, experts: Sequence[Expert]) -> CGPOModule:
    """The module of a plan whose references are resolved.

    Raises:
        UserError: the reference cannot be put where it is to be.
    """
    weights = plan["weights"]
    return CGPOModule(
        policy=policy,
        tasks=experts,
        update=make(plan["update"]),
        weight_optimizer=partial(torch.optim.AdamW, lr=weights["learning_rate"], weight_decay=weights["weight_decay"]),
        schedule=WarmupCosine(plan["updates"], weights["warmup_steps"], weights["final_factor"]),
        seed=plan["seed"],
        clip_norm=weights["clip_norm"],
        baseline=plan["baseline"],
        mixed=hardware.mixed_pieces,
        reference=_reference(plan, policy),
    )


def _reference(plan: Config, policy: CausalPolicy) -> CausalPolicy | None:
    """The reference, where it is to lie elsewhere than the policy, or in fewer bits."""
    device, quantization = plan["reference_device"], plan["reference_quantization"]
    if device is None and quantization is None:
        return None
    return frozen_reference(policy, device or training_device(plan["trainer"]), quantization)
