"""Micro-batches: cutting ragged sequences into batches of bounded size, and running a function on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cgpo.tensors import int_list

TokenFunction = Callable[[Sequence[Sequence[int]], Tensor, Tensor], Tensor]
"""From `n` prompts, `[n, T]` response tokens and their `[n, T]` mask to one number a token, `[n, T]`."""
BatchFunction = Callable[[Sequence[int], int], list[list[int]]]
"""From the sequences' lengths and a budget of tokens to batches of their indices, each index exactly once."""

PASS_COST = 128
"""The number of padding tokens that cost about as much as one more forward pass."""


def padded_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cuts sequences into batches of similar length, none of more than `max_tokens` tokens including padding.

    Args:
        lengths: the number of tokens of each sequence.
        max_tokens: the budget; a single sequence above it gets a batch of its own.

    Returns:
        Indices into `lengths`, each exactly once, longest first.
    """
    batches: list[list[int]] = []
    widest = 0
    for index in _longest_first(lengths):
        if batches and (len(batches[-1]) + 1) * widest <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
            widest = lengths[index]
    return batches


def length_grouped_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cuts like `padded_batches`, and further where that saves more padding than one more forward pass costs.

    Args:
        lengths: the number of tokens of each sequence.
        max_tokens: the budget, as in `padded_batches`.

    Returns:
        Indices into `lengths`, each exactly once, longest first.
    """
    return [part for batch in padded_batches(lengths, max_tokens) for part in _split(batch, lengths)]


def _split(batch: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Splits a batch, longest first, in two at the best place, and then each part again."""
    widest = lengths[batch[0]]
    saved = [(len(batch) - place) * (widest - lengths[index]) for place, index in enumerate(batch)]
    best = max(range(len(batch)), key=saved.__getitem__)
    if saved[best] <= PASS_COST:
        return [batch]
    return [*_split(batch[:best], lengths), *_split(batch[best:], lengths)]


def packed_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cuts sequences into batches of at most `max_tokens` tokens altogether, for rows without padding.

    Args:
        lengths: the number of tokens of each sequence.
        max_tokens: the budget; a single sequence above it gets a batch of its own.

    Returns:
        Indices into `lengths`, each exactly once, longest first.
    """
    batches: list[list[int]] = []
    filled = 0
    for index in _longest_first(lengths):
        if batches and filled + lengths[index] <= max_tokens:
            batches[-1].append(index)
            filled += lengths[index]
        else:
            batches.append([index])
            filled = lengths[index]
    return batches


def _longest_first(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def map_micro_batches(
    compute: TokenFunction,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    max_tokens: int,
    batches: BatchFunction = length_grouped_batches,
) -> Tensor:
    """Computes one number for each response token, micro-batch by micro-batch and without gradients.

    Args:
        compute: computes the numbers of one micro-batch.
        prompt_ids: `N` ragged prompts.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool.
        max_tokens: the budget of a micro-batch.
        batches: cuts the sequences into micro-batches.

    Returns:
        `[N, T]`.
    """
    lengths = [len(p) + n for p, n in zip(prompt_ids, int_list(response_mask.sum(-1)), strict=True)]
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


def on_model_device(model: nn.Module, compute: TokenFunction) -> TokenFunction:
    """Wraps a function so that its tensors move to the model's device and the result moves back to the caller's.

    Args:
        model: the model that computes; its device is looked up at every call, since a trainer may move it.
        compute: works on tensors on the model's device.
    """

    def wrapped(prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor) -> Tensor:
        device = next(model.parameters()).device
        numbers = compute(prompt_ids, response_ids.to(device), response_mask.to(device))
        return numbers.to(response_ids.device)

    return wrapped
