"""Log-probabilities of given responses, in padded rows or in packed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor, nn

from cgpo.distributed.sharding import gathered_weights
from cgpo.errors import UserError
from cgpo.policy.micro_batches import map_micro_batches, on_model_device
from cgpo.policy.token_logprobs import logprob_dtype, selected_logprobs
from cgpo.protocols import Policy
from cgpo.tensors import int_list, pad_rows
from cgpo.types import Rollout


@dataclass(frozen=True)
class Responses:
    """The responses that an objective depends on: those of the rollout, or the baseline responses.

    Attributes:
        prompt_ids: `N` ragged prompts.
        ids: `[N, T]` response tokens.
        mask: `[N, T]` bool.
    """

    prompt_ids: Sequence[Sequence[int]]
    ids: Tensor
    mask: Tensor

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each prompt together with its response."""
        return [len(p) + n for p, n in zip(self.prompt_ids, int_list(self.mask.sum(-1)), strict=True)]

    def select(self, rows: Sequence[int]) -> tuple[list[Sequence[int]], Tensor, Tensor]:
        """Returns the prompts, tokens and mask of some rows, without columns that are padding in all of them."""
        mask = self.mask[rows]
        width = int(mask.sum(-1).max())
        return [self.prompt_ids[i] for i in rows], self.ids[rows][:, :width], mask[:, :width]


def rollout_responses(rollout: Rollout) -> Responses:
    """Returns the rollout's `N` responses, each with its prompt."""
    prompt_ids = [ids for ids in rollout.prompt_ids for _ in range(rollout.copies)]
    return Responses(prompt_ids, rollout.response_ids, rollout.response_mask)


def baseline_responses(policy: Policy, rollout: Rollout, baselines: Sequence[str]) -> Responses:
    """Tokenizes the baseline responses of a rollout's prompts, cutting those that leave the context."""
    rows = [
        policy.encode_response(text)[: policy.context_length - len(ids)]
        for text, ids in zip(baselines, rollout.prompt_ids, strict=True)
    ]
    return Responses(rollout.prompt_ids, *pad_rows(rows, policy.pad_id, rollout.response_ids.device))


def response_logprobs(
    model: nn.Module,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
) -> Tensor:
    """Computes the log-probability of each response token given all tokens before it.

    The response follows its prompt directly and the padding is on the right, where a causal model cannot see it, so no
    attention mask is needed. Logits are computed only where a response token comes next, one chunk at a time
    (`cgpo.policy.token_logprobs`).

    Args:
        model: a `transformers` causal language model.
        prompt_ids: `N` ragged prompts, none empty.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool, True on a prefix of each row.
        temperature: divides the logits, as in sampling.
        pad_id: any token; its logits are not used.

    Returns:
        `[N, T]`, 0 where masked; float32, or float64 for a float64 model.
    """
    rows = concatenate(prompt_ids, response_ids, response_mask, pad_id)
    zeros = torch.zeros_like(response_mask, dtype=logprob_dtype(model))
    if rows.last == 0:
        return zeros
    inputs = {"input_ids": rows.tokens[:, :-1], "use_cache": False, "logits_to_keep": rows.last}
    logprobs = selected_logprobs(model, inputs, rows.in_response, response_ids[response_mask], temperature)
    return zeros.masked_scatter(response_mask, logprobs)


@dataclass(frozen=True)
class ConcatenatedRows:
    """Prompts followed by their responses, padded on the right.

    Attributes:
        tokens: `[N, W]`.
        starts: `[N]`, where each response starts.
        last: `L`, the number of last positions that matter: from the first start of any response to the end.
        response_mask: `[N, T]` bool.
    """

    tokens: Tensor
    starts: Tensor
    last: int
    response_mask: Tensor

    @property
    def in_response(self) -> Tensor:
        """`[N, L]` bool, which of the last positions hold a response token."""
        width = self.tokens.shape[1]
        position = torch.arange(width - self.last, width, device=self.tokens.device)
        ends = self.starts + self.response_mask.sum(-1)
        return (position >= self.starts[:, None]) & (position < ends[:, None])

    def align_to_responses(self, values: Tensor) -> Tensor:
        """Turns `[N, L]`, one value for each last position, into `[N, T]`, one a response token, 0 where masked."""
        first = self.tokens.shape[1] - self.last
        step = torch.arange(self.response_mask.shape[1], device=self.tokens.device)
        offsets = (self.starts - first)[:, None] + step
        return values.gather(1, offsets.clamp(max=self.last - 1)).masked_fill(~self.response_mask, 0.0)


def concatenate(
    prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor, pad_id: int
) -> ConcatenatedRows:
    """Puts each response behind its prompt; see `response_logprobs` for the arguments."""
    starts = torch.tensor([len(ids) for ids in prompt_ids], device=response_ids.device)
    width = int((starts + response_mask.sum(-1)).max())
    tokens = response_ids.new_full((len(prompt_ids), width), pad_id)
    for row, prompt in enumerate(prompt_ids):
        response = response_ids[row][response_mask[row]]
        tokens[row, : len(prompt)] = torch.tensor(prompt, dtype=tokens.dtype, device=tokens.device)
        tokens[row, len(prompt) : len(prompt) + len(response)] = response
    return ConcatenatedRows(tokens, starts, width - int(starts.min()), response_mask)


def batched_logprobs(
    model: nn.Module,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
    max_tokens: int,
) -> Tensor:
    """Computes `response_logprobs` without gradients, in micro-batches of at most `max_tokens` tokens; `[N, T]`."""
    compute = on_model_device(model, partial(response_logprobs, model, temperature=temperature, pad_id=pad_id))
    with gathered_weights(model):
        logprobs = map_micro_batches(compute, prompt_ids, response_ids, response_mask, max_tokens)
    return logprobs.to(logprob_dtype(model))


PACKING_TOLERANCE = 0.05
"""How much of the effect of seeing another sequence may remain in a packed row, for rounding."""


def packed_logprobs(
    model: nn.Module,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
) -> Tensor:
    """Computes `response_logprobs` in one row that holds all sequences without padding.

    The row has no attention mask and keeps no cache: `transformers` then finds the sequences' borders where positions
    start again at 0. `require_packing` finds out whether a model does. `pad_id` is unused; it makes both ways callable
    alike.
    """
    tokens, positions, selected = _pack(prompt_ids, response_ids, response_mask)
    inputs = {"input_ids": tokens, "position_ids": positions, "use_cache": False}
    logprobs = selected_logprobs(model, inputs, selected, response_ids[response_mask], temperature)
    return torch.zeros_like(response_mask, dtype=logprob_dtype(model)).masked_scatter(response_mask, logprobs)


def _pack(
    prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns tokens, positions, and whether a response token comes next, each `[1, S]`; last tokens are left out."""
    device = response_ids.device
    parts: list[Tensor] = []
    selected: list[bool] = []
    lengths: list[int] = []
    for row, (prompt, count) in enumerate(zip(prompt_ids, int_list(response_mask.sum(-1)), strict=True)):
        start = torch.tensor(prompt, dtype=response_ids.dtype, device=device)
        sequence = torch.cat([start, response_ids[row][response_mask[row]]])
        parts.append(sequence[: max(1, len(sequence) - 1)])
        lengths.append(len(parts[-1]))
        selected += [index >= len(prompt) - 1 and count > 0 for index in range(lengths[-1])]
    starts = torch.tensor([0, *accumulate(lengths)][:-1], device=device)
    repeats = torch.tensor(lengths, device=device)
    positions = torch.arange(sum(lengths), device=device) - starts.repeat_interleave(repeats)
    return torch.cat(parts)[None], positions[None], torch.tensor(selected, device=device)[None]


@torch.no_grad()
def require_packing(model: nn.Module) -> None:
    """Checks that a model keeps the sequences of one row apart, by trying it on two short ones.

    The second one's log-probabilities must be what they are when it stands alone. How much they change if it does see
    the first one, in a row whose positions go on, sets the scale for what counts as a difference.

    Raises:
        UserError: it does not, so that packed log-probabilities would silently be wrong.
    """
    device = next(model.parameters()).device
    prompts = [[i % 7 + 1 for i in range(12)], [3, 5]]
    ids = torch.tensor([[2, 6, 4, 1, 5, 3]] * 2, device=device)
    every = torch.ones_like(ids, dtype=torch.bool)
    training = model.training
    model.eval()
    try:
        alone = packed_logprobs(model, prompts[1:], ids[1:], every[1:], 1.0, 0)[0]
        packed = packed_logprobs(model, prompts, ids, every, 1.0, 0)[1]
        seen = packed_logprobs(model, [[*prompts[0], *int_list(ids[0]), *prompts[1]]], ids[1:], every[1:], 1.0, 0)[0]
    finally:
        model.train(training)
    if (packed - alone).abs().max() > PACKING_TOLERANCE * (seen - alone).abs().max():
        config = getattr(model, "config", None)
        attention = getattr(config, "_attn_implementation", None)
        raise UserError(
            f"update.packing: {type(model).__name__} with {attention} attention lets sequences of one row see each"
            " other, so that their log-probabilities would be wrong; use packing=false"
        )
