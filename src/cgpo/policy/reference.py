"""The reference `π_ref` that the KL limit is measured from: beside the policy or elsewhere, whole or in fewer bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.quantization import quantize

Compute = Callable[[Sequence[Sequence[int]], Tensor, Tensor], Tensor]
"""Of some prompts, `[n, T]` response tokens and `[n, T]` mask: a number a token, `[n, T]`."""


def frozen_reference(
    policy: CausalPolicy, path: str | None = None, device: str | None = None, quantization: str | None = None
) -> CausalPolicy:
    """A policy like this one, with weights of its own that no gradient reaches.

    Args:
        policy: what training starts from.
        path: folder or hub id that the weights are loaded from, where the policy's cannot be copied because they are
            spread over several processes; `None` copies the policy's.
        device: where it lies from now on (`cpu`, `cuda:1`); `None` leaves it where the policy is, to be moved with it.
        quantization: of its weights: `None`, `int8` or `int4` (see `cgpo.quantization`).

    Raises:
        UserError: the model cannot be loaded, put on this device, or quantised.
    """
    if path is None:
        reference = policy.frozen_copy()
    else:
        dtype = str(next(policy.model.parameters()).dtype).removeprefix("torch.")
        reference = replace(policy, model=load_policy(path, dtype).model.eval().requires_grad_(False))
    quantize(reference.model, quantization)
    if device is not None:
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
