"""Log-probabilities of given responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from cgpo.distributed.sharding import gathered_weights
from cgpo.policy.micro_batches import in_micro_batches
from cgpo.policy.reference import on_its_device
from cgpo.policy.token_logprobs import chosen_logprobs, precision
from cgpo.protocols import Policy
from cgpo.tensors import pad_rows
from cgpo.types import Rollout


@dataclass(frozen=True)
class Responses:
    """Tokens whose log-probabilities an objective depends on: the rollout's, or the baseline responses'.

    Attributes:
        prompt_ids: `N` prompts, ragged.
        ids: `[N, T]`.
        mask: `[N, T]` bool.
    """

    prompt_ids: Sequence[Sequence[int]]
    ids: Tensor
    mask: Tensor

    @property
    def lengths(self) -> list[int]:
        """Tokens of each prompt with its response."""
        return [len(p) + n for p, n in zip(self.prompt_ids, self.mask.sum(-1).tolist(), strict=True)]

    def of(self, rows: Sequence[int]) -> tuple[list[Sequence[int]], Tensor, Tensor]:
        """Some rows' prompts, tokens and mask, without columns that are padding for all of them."""
        mask = self.mask[rows]
        width = int(mask.sum(-1).max())
        return [self.prompt_ids[i] for i in rows], self.ids[rows][:, :width], mask[:, :width]


def rollout_responses(rollout: Rollout) -> Responses:
    """The rollout's `N` responses, each with its prompt."""
    prompt_ids = [ids for ids in rollout.prompt_ids for _ in range(rollout.copies)]
    return Responses(prompt_ids, rollout.response_ids, rollout.response_mask)


def baseline_responses(policy: Policy, rollout: Rollout, baselines: Sequence[str]) -> Responses:
    """The prompts' baseline responses; one that leaves the context is cut."""
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
    """Log-probability of each response token given all tokens before it.

    Prompt and response stand next to each other and the padding stands on the right, where a causal model cannot see
    it, so no attention mask is needed. Logits are made of positions that hold a response's token, and of no more than
    a chunk at a time (`cgpo.policy.token_logprobs`).

    Args:
        model: a `transformers` causal language model.
        prompt_ids: `N` prompts, ragged, none empty.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool, True on a prefix of each row.
        temperature: what the logits are divided by, as in sampling.
        pad_id: any token; its logits are not used.

    Returns:
        `[N, T]`, 0 where masked; float32, or float64 for a float64 model.
    """
    rows = joined(prompt_ids, response_ids, response_mask, pad_id)
    empty = torch.zeros_like(response_mask, dtype=precision(model))
    if rows.kept == 0:
        return empty
    inputs = {"input_ids": rows.tokens[:, :-1], "use_cache": False, "logits_to_keep": rows.kept}
    found = chosen_logprobs(model, inputs, rows.counts, response_ids[response_mask], temperature)
    return empty.masked_scatter(response_mask, found)


@dataclass(frozen=True)
class JoinedRows:
    """Prompts and responses next to each other, with the padding on the right.

    Attributes:
        tokens: `[N, W]`.
        starts: `[N]` where each response begins.
        kept: how many positions, from the first response's beginning to the end, matter.
        response_mask: `[N, T]`.
    """

    tokens: Tensor
    starts: Tensor
    kept: int
    response_mask: Tensor

    @property
    def counts(self) -> Tensor:
        """`[N, kept]` bool: the position holds a response's token."""
        width = self.tokens.shape[1]
        position = torch.arange(width - self.kept, width, device=self.tokens.device)
        ends = self.starts + self.response_mask.sum(-1)
        return (position >= self.starts[:, None]) & (position < ends[:, None])

    def of_responses(self, values: Tensor) -> Tensor:
        """From `[N, kept]`, one for each position, to `[N, T]`, one for each response token; 0 where masked."""
        first = self.tokens.shape[1] - self.kept
        step = torch.arange(self.response_mask.shape[1], device=self.tokens.device)
        offsets = (self.starts - first)[:, None] + step
        return values.gather(1, offsets.clamp(max=self.kept - 1)).masked_fill(~self.response_mask, 0.0)


def joined(prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor, pad_id: int) -> JoinedRows:
    """Prompt, response, padding.

    Args:
        prompt_ids: `N` prompts, ragged, none empty.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool, True on a prefix of each row.
        pad_id: any token.
    """
    starts = torch.tensor([len(ids) for ids in prompt_ids], device=response_ids.device)
    width = int((starts + response_mask.sum(-1)).max())
    tokens = response_ids.new_full((len(prompt_ids), width), pad_id)
    for row, prompt in enumerate(prompt_ids):
        response = response_ids[row][response_mask[row]]
        tokens[row, : len(prompt)] = torch.tensor(prompt, dtype=tokens.dtype, device=tokens.device)
        tokens[row, len(prompt) : len(prompt) + len(response)] = response
    return JoinedRows(tokens, starts, width - int(starts.min()), response_mask)


def batched_logprobs(
    model: nn.Module,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
    max_tokens: int,
) -> Tensor:
    """`response_logprobs` without gradients, micro-batch by micro-batch; `[N, T]`."""
    compute = on_its_device(model, partial(response_logprobs, model, temperature=temperature, pad_id=pad_id))
    with gathered_weights(model):
        found = in_micro_batches(compute, prompt_ids, response_ids, response_mask, max_tokens)
    return found.to(precision(model))
