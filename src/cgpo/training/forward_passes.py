"""Runs a model over responses, for numbers without gradients or for the gradient of its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from cgpo.distributed.process_group import Processes
from cgpo.distributed.sharding import gathered_weights, is_sharded
from cgpo.policy.critic import Critic
from cgpo.policy.logprobs import Responses, packed_logprobs, response_logprobs
from cgpo.policy.micro_batches import (
    BatchFunction,
    TokenFunction,
    length_grouped_batches,
    map_micro_batches,
    on_model_device,
    packed_batches,
)
from cgpo.policy.token_logprobs import logprob_dtype
from cgpo.protocols import Policy
from cgpo.tensors import int_list


@dataclass(frozen=True)
class Pass:
    """A computation of one number per token by a model.

    Attributes:
        model: the model.
        numbers: computes `[n, T]`, one number per token, of some prompts, `[n, T]` response tokens and `[n, T]` mask.
        batches: divides responses of given lengths into micro-batches of at most so many tokens.
    """

    model: nn.Module
    numbers: TokenFunction
    batches: BatchFunction


def policy_pass(policy: Policy, temperature: float, packing: bool) -> Pass:
    """Returns the computation of token log-probabilities under a policy, in rows with padding or packed ones."""
    logprobs = packed_logprobs if packing else response_logprobs
    numbers = partial(logprobs, policy.model, temperature=temperature, pad_id=policy.pad_id)
    return Pass(
        policy.model, on_model_device(policy.model, numbers), packed_batches if packing else length_grouped_batches
    )


def critic_pass(critic: Critic, policy: Policy) -> Pass:
    """Returns the computation of a critic's values of the states before each token."""
    return Pass(critic, partial(critic, pad_id=policy.pad_id), length_grouped_batches)


def token_values(forward: Pass, responses: Responses, max_tokens: int) -> Tensor:
    """Computes the numbers of all responses, without gradients; `[N, T]`."""
    rows = (responses.prompt_ids, responses.ids, responses.mask)
    with gathered_weights(forward.model):
        found = map_micro_batches(forward.numbers, *rows, max_tokens, forward.batches)
    return found.to(logprob_dtype(forward.model))


def accumulate(
    forward: Pass,
    responses: Responses,
    weights: Tensor | None,
    scale: float,
    max_tokens: int,
    processes: Processes,
    backward: Callable[[Tensor], None],
) -> None:
    """Adds the gradient of `scale · Σ weights · numbers(responses)` to the model's weights.

    Args:
        forward: the computation.
        responses: the `N` responses of this process.
        weights: `[…, T']` with `N` rows, `T'` at least as wide as the responses; rows that are 0 are not run. `None` if
            the objective does not depend on these numbers.
        scale: the factor of everything.
        max_tokens: the most tokens of a micro-batch, including padding.
        processes: the processes, all of which call this together if the model is sharded.
        backward: runs the backward pass of a scalar.
    """
    if weights is None:
        return
    weights = weights.flatten(0, -2)[:, : responses.ids.shape[1]]
    rows = int_list((weights != 0).any(-1).nonzero().squeeze(-1))
    lengths = responses.lengths
    parts = forward.batches([lengths[i] for i in rows], max_tokens)
    idle = 0
    if is_sharded(forward.model):
        # Its shards are gathered anew for each pass, by all processes at the same time.
        idle = processes.largest(len(parts)) - len(parts)
        scale *= processes.size  # FSDP takes the mean over processes
    for part in parts:
        chosen = [rows[i] for i in part]
        numbers = forward.numbers(*responses.select(chosen))
        backward(scale * (numbers * weights[chosen][:, : numbers.shape[1]]).sum())
    for _ in range(idle):
        backward(0.0 * forward.numbers(*_a_token(responses)).sum())


def _a_token(responses: Responses) -> tuple[list[Sequence[int]], Tensor, Tensor]:
    """Returns the shortest input that a model can be run on."""
    ids = responses.ids.new_zeros(1, 1)
    return [(0,)], ids, torch.ones_like(ids, dtype=torch.bool)
