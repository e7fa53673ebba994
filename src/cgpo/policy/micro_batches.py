"""Sequences cut into batches of similar length, in which padding costs little."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PASS_TOKENS = 128
"""Tokens of padding that cost about as much as one more pass of the model."""


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


def packed_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cuts sequences into batches of at most `max_tokens` tokens in all: for rows without padding.

    Args:
        lengths: tokens of each sequence.
        max_tokens: budget; a single sequence above it stands alone.

    Returns:
        Indices into `lengths`, each exactly once, longest first.
    """
    batches: list[list[int]] = []
    filled = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and filled + lengths[index] <= max_tokens:
            batches[-1].append(index)
            filled += lengths[index]
        else:
            batches.append([index])
            filled = lengths[index]
    return batches


def in_micro_batches(
    compute: Callable[[Sequence[Sequence[int]], Tensor, Tensor], Tensor],
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    max_tokens: int,
    batches: Callable[[Sequence[int], int], list[list[int]]] = snug_batches,
) -> Tensor:
    """One number for each response token, without gradients; `[N, T]`.

    Args:
        compute: of a micro-batch's prompts, `[n, T]` response tokens and `[n, T]` mask.
        prompt_ids: `N` prompts, ragged.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool.
        max_tokens: budget of a micro-batch.
        batches: cuts lengths into micro-batches.
    """
    lengths = [len(p) + n for p, n in zip(prompt_ids, response_mask.sum(-1).tolist(), strict=True)]
    parts: list[Tensor] = []
    order: list[int] = []
    with torch.no_grad():
        for rows in batches(lengths, max_tokens):
            parts.append(compute([prompt_ids[i] for i in rows], response_ids[rows], response_mask[rows]))
            order += rows
    if not parts:
        return torch.zeros(response_mask.shape, device=response_ids.device)
    places = torch.tensor(order, device=response_ids.device).argsort()
    return torch.cat(parts)[places]
