"""Masked reductions and shape checks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum over the last dimension where `mask` is True; masked values, even NaN, take no part.

    Args:
        values: `[..., T]`.
        mask: `[..., T]` bool.

    Returns:
        `[...]`, 0 where nothing is unmasked.
    """
    return values.masked_fill(~mask, 0.0).sum(-1)


def first_argmax(values: Tensor, mask: Tensor) -> Tensor:
    """Index of the highest unmasked value of each row, the first one among ties.

    Masks with minus infinity, so that the sign of the values does not matter.

    Args:
        values: `[B, K]`.
        mask: `[B, K]` bool; a row without any True gets index 0, for the caller to leave out.

    Returns:
        `[B]` int64.
    """
    kept = values.masked_fill(~mask, -torch.inf)
    best = mask & (kept == kept.max(dim=-1, keepdim=True).values)
    return _first_true(best)


def first_argmin(values: Tensor, mask: Tensor) -> Tensor:
    """Index of the lowest unmasked value of each row, the first one among ties; see `first_argmax`."""
    return first_argmax(-values, mask)


def _first_true(flags: Tensor) -> Tensor:
    width = flags.shape[-1]
    positions = torch.arange(width, device=flags.device).expand_as(flags)
    return positions.masked_fill(~flags, width).min(dim=-1).values % width


def take(values: Tensor, index: Tensor) -> Tensor:
    """`values[b, index[b]]` for each row: `[B, K]` and `[B]` give `[B]`."""
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as one tensor, filled up on the right.

    Args:
        rows: `N` rows; where there is none, `T` is 1.
        fill: what stands where a row has ended.
        device: of the result; the CPU where nothing is said.

    Returns:
        `[N, T]` int64, and `[N, T]` bool: there the row has a value.
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=device)
    width = max(map(len, rows), default=1)
    values = torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.int64, device=device)
    values = values.view(len(rows), width)
    return values, torch.arange(width, device=device) < lengths[:, None]


def check_shape(name: str, value: Tensor, *shape: int | None) -> None:
    """Asserts a tensor's shape; `None` stands for any size.

    Raises:
        ValueError: the shape differs; the message names the tensor.
    """
    fits = len(value.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not fits:
        expected = tuple("any" if size is None else size for size in shape)
        raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {expected}")
