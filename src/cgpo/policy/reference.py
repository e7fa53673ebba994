"""The reference `π_ref` that the KL limit is measured from: beside the policy or elsewhere, whole or in fewer bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cgpo.errors import UserError
from cgpo.models.quantization import quantize
from cgpo.policy.causal import CausalPolicy

Compute = Callable[[Sequence[Sequence[int]], Tensor, Tensor], Tensor]
"""Of some prompts, `[n, T]` response tokens and `[n, T]` mask: a number a token, `[n, T]`."""


def frozen_reference(policy: CausalPolicy, device: str, quantization: str | None = None) -> CausalPolicy:
    """A policy like this one, with weights of its own that no gradient reaches.

    Args:
        policy: what training starts from, without adapters.
        device: where it lies from now on (`cpu`, `cuda:1`).
        quantization: of its weights: `None`, `int8` or `int4` (see `cgpo.models.quantization`).

    Raises:
        UserError: the model cannot be put on this device, or quantised.
    """
    reference = policy.frozen_copy()
    quantize(reference.model, quantization)
    try:
        nn.Module.to(reference.model, device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise UserError(f"reference_device: the reference cannot be put on {device}: {first_line}") from error
    return reference


def on_its_device(model: nn.Module, compute: Compute) -> Compute:
    """A computation whose tensors go to the model's device, and whose result comes back to the caller's.

    Args:
        model: what computes; the device is asked for at every call, since a trainer may move the model.
        compute: given prompts, `[n, T]` response tokens and `[n, T]` mask on the model's device.
    """

    def moved(prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor) -> Tensor:
        device: torch.device = next(model.parameters()).device
        numbers = compute(prompt_ids, response_ids.to(device), response_mask.to(device))
        return numbers.to(response_ids.device)

    return moved
