"""Sequences side by side in one row, without padding; each sees only itself where its positions begin again at 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from cgpo.errors import UserError
from cgpo.policy.head import chosen_logprobs, precision

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
