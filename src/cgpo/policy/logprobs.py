"""Log-probabilities of given responses, in length-sorted micro-batches in which padding costs little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cgpo.policy.sharding import gathered

Model = nn.Module

PASS_TOKENS = 128
"""Tokens of padding that cost about as much as one more pass of the model."""


def response_logprobs(
    model: Model,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
) -> Tensor:
    """Log-probability of each response token given all tokens before it.

    Prompt and response stand next to each other and the padding stands on the right, where a causal model cannot see
    it, so no attention mask is needed.

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
    if rows.kept == 0:
        return torch.zeros_like(response_mask, dtype=precision(model))
    output: Any = model(input_ids=rows.tokens[:, :-1], use_cache=False, logits_to_keep=rows.kept)
    targets = rows.tokens[:, -rows.kept :].masked_fill(~rows.counts, -100)
    logits = output.logits.to(precision(model))
    scaled = logits if temperature == 1.0 else logits / temperature
    flat = -cross_entropy(scaled.flatten(0, 1), targets.flatten(), reduction="none")
    return rows.of_responses(flat.view_as(targets))


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


def precision(model: Model) -> torch.dtype:
    """In which a model's log-probabilities are taken: float32, or float64 for a float64 model."""
    return torch.float64 if next(model.parameters()).dtype == torch.float64 else torch.float32


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


def micro_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cuts sequences into batches of similar length, none of more than `max_tokens` tokens with its padding.

    Args:
        lengths: tokens of each sequence.
        max_tokens: budget; a single sequence above it stands alone.

    Returns:
        Indices into `lengths`, each exactly once, longest first.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    widest = 0
    for index in order:
        if batches and (len(batches[-1]) + 1) * widest <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
            widest = lengths[index]
    return batches


def snug_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """The batches of `micro_batches`, cut further where that saves more padding than one more pass costs.

    Args:
        lengths: tokens of each sequence.
        max_tokens: budget, as in `micro_batches`.

    Returns:
        Indices into `lengths`, each exactly once, longest first.
    """
    return [part for batch in micro_batches(lengths, max_tokens) for part in _cut(batch, lengths)]


def _cut(batch: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cuts a batch, longest first, in two at the best place, and its parts again."""
    widest = lengths[batch[0]]
    saved = [(len(batch) - place) * (widest - lengths[index]) for place, index in enumerate(batch)]
    best = max(range(len(batch)), key=saved.__getitem__)
    if saved[best] <= PASS_TOKENS:
        return [batch]
    return [*_cut(batch[:best], lengths), *_cut(batch[best:], lengths)]


def batched_logprobs(
    model: Model,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
    max_tokens: int,
) -> Tensor:
    """`response_logprobs` without gradients, micro-batch by micro-batch; `[N, T]`."""
    compute = partial(response_logprobs, model, temperature=temperature, pad_id=pad_id)
    with gathered(model):
        found = in_micro_batches(compute, prompt_ids, response_ids, response_mask, max_tokens)
    return found.to(precision(model))


def in_micro_batches(
    compute: Callable[[Sequence[Sequence[int]], Tensor, Tensor], Tensor],
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    max_tokens: int,
) -> Tensor:
    """One number for each response token, without gradients; `[N, T]`.

    Args:
        compute: of a micro-batch's prompts, `[n, T]` response tokens and `[n, T]` mask.
        prompt_ids: `N` prompts, ragged.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool.
        max_tokens: budget of a micro-batch.
    """
    lengths = [len(p) + n for p, n in zip(prompt_ids, response_mask.sum(-1).tolist(), strict=True)]
    parts: list[Tensor] = []
    order: list[int] = []
    with torch.no_grad():
        for rows in snug_batches(lengths, max_tokens):
            parts.append(compute([prompt_ids[i] for i in rows], response_ids[rows], response_mask[rows]))
            order += rows
    if not parts:
        return torch.zeros(response_mask.shape, device=response_ids.device)
    places = torch.tensor(order, device=response_ids.device).argsort()
    return torch.cat(parts)[places]
