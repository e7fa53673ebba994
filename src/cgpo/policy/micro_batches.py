"""Sequences side by side in one row, without padding; each sees only itself where its positions begin again at 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from cgpo.errors import UserError
from cgpo.policy.token_logprobs import chosen_logprobs, precision

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


def length_grouped_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
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
    batches: Callable[[Sequence[int], int], list[list[int]]] = length_grouped_batches,
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


TOLERANCE = 0.05
"""Of the difference that it makes to see another sequence: what may remain of it in a packed row, as rounding does."""


def packed_logprobs(
    model: nn.Module,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Tensor,
    response_mask: Tensor,
    temperature: float,
    pad_id: int,
) -> Tensor:
    """`response_logprobs` in one row without padding.

    The row has no attention mask and leaves no cache: `transformers` then reads the sequences' borders from positions
    that begin again at 0. Whether a model does is for `require_packing` to find out.

    Args:
        model: a `transformers` causal language model.
        prompt_ids: `N` prompts, ragged, none empty.
        response_ids: `[N, T]`.
        response_mask: `[N, T]` bool, True on a prefix of each row.
        temperature: what the logits are divided by, as in sampling.
        pad_id: not used; it is there so that both ways are called alike.

    Returns:
        `[N, T]`, 0 where masked; float32, or float64 for a float64 model.
    """
    tokens, positions, chosen = _packed(prompt_ids, response_ids, response_mask)
    inputs = {"input_ids": tokens, "position_ids": positions, "use_cache": False}
    found = chosen_logprobs(model, inputs, chosen, response_ids[response_mask], temperature)
    return torch.zeros_like(response_mask, dtype=precision(model)).masked_scatter(response_mask, found)


def _packed(
    prompt_ids: Sequence[Sequence[int]], response_ids: Tensor, response_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, positions, and whether a response's token comes next; `[1, S]` each. A last token is not read."""
    device = response_ids.device
    counts = response_mask.sum(-1).tolist()
    parts: list[Tensor] = []
    chosen: list[bool] = []
    lengths: list[int] = []
    for row, (prompt, count) in enumerate(zip(prompt_ids, counts, strict=True)):
        start = torch.tensor(prompt, dtype=response_ids.dtype, device=device)
        sequence = torch.cat([start, response_ids[row][response_mask[row]]])
        parts.append(sequence[: max(1, len(sequence) - 1)])
        lengths.append(len(parts[-1]))
        chosen += [index >= len(prompt) - 1 and count > 0 for index in range(lengths[-1])]
    begins = torch.tensor([0, *accumulate(lengths)][:-1], device=device)
    positions = torch.arange(sum(lengths), device=device) - begins.repeat_interleave(
        torch.tensor(lengths, device=device)
    )
    return torch.cat(parts)[None], positions[None], torch.tensor(chosen, device=device)[None]


@torch.no_grad()
def require_packing(model: nn.Module) -> None:
    """Asserts that a model keeps sequences of one row apart, by trying it on two short ones.

    The second one's log-probabilities must be what they are when it stands alone. How much they would change if
    it saw the first one too, in a row whose positions go on, is the measure of what is too much.

    Raises:
        UserError: they are not, so that packed log-probabilities would be silently wrong.
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
        seen = packed_logprobs(model, [[*prompts[0], *ids[0].tolist(), *prompts[1]]], ids[1:], every[1:], 1.0, 0)[0]
    finally:
        model.train(training)
    if (packed - alone).abs().max() > TOLERANCE * (seen - alone).abs().max():
        config = getattr(model, "config", None)
        attention = getattr(config, "_attn_implementation", None)
        raise UserError(
            f"update.packing: {type(model).__name__} with {attention} attention lets sequences of one row see each"
            " other, so that their log-probabilities would be wrong; use packing=false"
        )
