"""Log-probabilities of one token a row, whose gradient is made in one pass over the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class TokenLogprobs(torch.autograd.Function):
    """`log softmax(logits)` at one token of each row, with the logits alone kept for the backward pass.

    Where the same logits are computed twice, the second pass can be given the first one's log-probabilities: it then
    needs no softmax, and its backward pass makes the gradient `g · (1[token] − softmax(logits))` of them in one buffer.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, known: Tensor | None) -> Tensor:
        """`[n]` from `[n, V]` logits, `[n]` tokens, and the `[n]` answers where they are known already."""
        picked = logits.gather(1, targets[:, None]).squeeze(1)
        if known is None:
            known = logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
        ctx.save_for_backward(logits, targets, picked - known)
        return known.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """`[n, V]` from `[n]`."""
        logits, targets, normalizer = ctx.saved_tensors
        (gradient,) = gradients
        found = (logits - normalizer[:, None]).exp_().mul_(-gradient[:, None])
        return found.scatter_add_(1, targets[:, None], gradient[:, None]), None, None
