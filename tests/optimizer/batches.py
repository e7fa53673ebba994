"""Batches written down response by response, as plain numbers and as the tensors made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cgpo.optimizer.base import ConstrainedOptimizer, OptimizerState
from cgpo.types import Baseline, Objective, TrainingBatch


@dataclass(frozen=True)
class Response:
    """One response: token log-probabilities under the policy and the reference, reward, and what the judges said."""

    logprobs: tuple[float, ...]
    reference: tuple[float, ...]
    reward: float
    satisfied: bool = True
    decided: bool = True
    identity: int | None = None
    sampled: tuple[float, ...] | None = None
    """Log-probabilities under the policy that drew it, where that is another one."""


@dataclass(frozen=True)
class Row:
    """A prompt's responses and its baseline."""

    responses: tuple[Response, ...]
    baseline_reward: float = 0.0
    baseline_satisfied: bool = False
    baseline_logprobs: tuple[float, ...] = (-1.0,)


def scored(rows: Sequence[Row], padding: int = 0, garbage: float = 0.0) -> TrainingBatch:
    """The tensors of some rows, padded by so many masked positions more than needed, all filled with garbage."""
    width = max(len(r.logprobs) for row in rows for r in row.responses) + padding
    baseline_width = max(len(row.baseline_logprobs) for row in rows) + padding

    def padded(values: Sequence[float], width: int) -> list[float]:
        return [*values, *[garbage] * (width - len(values))]

    def mask(values: Sequence[float], width: int) -> list[bool]:
        return [i < len(values) for i in range(width)]

    def tensor(values: object, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.tensor(values, dtype=dtype)

    responses = [row.responses for row in rows]
    return TrainingBatch(
        logprobs=tensor([[padded(r.logprobs, width) for r in row] for row in responses]),
        reference_logprobs=tensor([[padded(r.reference, width) for r in row] for row in responses]),
        sampled_logprobs=tensor([[padded(r.sampled or r.logprobs, width) for r in row] for row in responses]),
        response_mask=tensor([[mask(r.logprobs, width) for r in row] for row in responses], torch.bool),
        reward=tensor([[r.reward for r in row] for row in responses]),
        satisfied=tensor([[r.satisfied for r in row] for row in responses], torch.bool),
        decided=tensor([[r.decided for r in row] for row in responses], torch.bool),
        identity=tensor([[_identity(r, k) for k, r in enumerate(row)] for row in responses], torch.int64),
        baseline=Baseline(
            reward=tensor([row.baseline_reward for row in rows]),
            satisfied=tensor([row.baseline_satisfied for row in rows], torch.bool),
            logprobs=tensor([padded(row.baseline_logprobs, baseline_width) for row in rows]),
            response_mask=tensor([mask(row.baseline_logprobs, baseline_width) for row in rows], torch.bool),
        ),
    )


def _identity(response: Response, index: int) -> int:
    return index if response.identity is None else response.identity


def differentiate(optimizer: ConstrainedOptimizer, batch: TrainingBatch) -> tuple[Objective, Tensor, Tensor | None]:
    """The objective, its gradient by the responses' log-probabilities, and by the baselines' where it has one."""
    return differentiate_in(optimizer, batch, optimizer.initial_state())[:3]


def differentiate_in(
    optimizer: ConstrainedOptimizer, batch: TrainingBatch, state: OptimizerState
) -> tuple[Objective, Tensor, Tensor | None, OptimizerState]:
    """The same in a state, with the next state."""
    logprobs = batch.logprobs.clone().requires_grad_()
    baseline = batch.baseline.logprobs.clone().requires_grad_()
    leaves = replace(batch, logprobs=logprobs, baseline=replace(batch.baseline, logprobs=baseline))
    objective, state = optimizer.advance(leaves, state)
    own, fallback = torch.autograd.grad(objective.loss, [logprobs, baseline], allow_unused=True)
    assert own is not None, "the loss must stay attached to the responses' log-probabilities"
    return objective, own, fallback, state


def token_gradients(batch: TrainingBatch, gradient: Tensor) -> list[list[list[float]]]:
    """Per prompt and response the gradient of each token; asserts that masked positions have none."""
    assert (gradient[~batch.response_mask] == 0).all()
    return [
        [row[mask].tolist() for row, mask in zip(rows, masks, strict=True)]
        for rows, masks in zip(gradient, batch.response_mask, strict=True)
    ]
