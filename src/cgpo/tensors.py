"""Masked reductions, padding, precision, random numbers, and shape checks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sums the last dimension where `mask` is True; masked values take no part, even if they are NaN.

    Args:
        values: `[..., T]`.
        mask: `[..., T]` bool.

    Returns:
        `[...]`, 0 where nothing is unmasked.
    """
    return values.masked_fill(~mask, 0.0).sum(-1)


def first_argmax(values: Tensor, mask: Tensor) -> Tensor:
    """Finds the highest unmasked value of each row, the first one among ties.

    Masks with minus infinity, so that the sign of the values does not matter.

    Args:
        values: `[B, K]`.
        mask: `[B, K]` bool; a row without any True gets index 0, which the caller must ignore.

    Returns:
        `[B]` int64 indices.
    """
    kept = values.masked_fill(~mask, -torch.inf)
    best = mask & (kept == kept.max(dim=-1, keepdim=True).values)
    return _first_true(best)


def first_argmin(values: Tensor, mask: Tensor) -> Tensor:
    """Finds the lowest unmasked value of each row, the first one among ties; see `first_argmax`."""
    return first_argmax(-values, mask)


def _first_true(flags: Tensor) -> Tensor:
    width = flags.shape[-1]
    positions = torch.arange(width, device=flags.device).expand_as(flags)
    return positions.masked_fill(~flags, width).min(dim=-1).values % width


def take(values: Tensor, index: Tensor) -> Tensor:
    """Picks one value of each row: `values[b, index[b]]`.

    Args:
        values: `[B, K]`.
        index: `[B]`.

    Returns:
        `[B]`.
    """
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def pad_rows(
    rows: Sequence[Sequence[int]], fill: int, device: torch.device | None = None, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Puts rows of different lengths into one tensor.

    Args:
        rows: `N` ragged rows; with no rows at all `T` is 1.
        fill: the value of the padding.
        device: where the result lies; the CPU by default.
        left: pads on the left instead of on the right.

    Returns:
        `[N, T]` int64 values, and `[N, T]` bool, True where the row has a value.
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=device)
    width = max(map(len, rows), default=1)
    gaps = [[fill] * (width - len(row)) for row in rows]
    whole = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, gaps, strict=True)]
    values = torch.tensor(whole, dtype=torch.int64, device=device).view(len(rows), width)
    positions = torch.arange(width, device=device)
    if left:
        return values, positions >= width - lengths[:, None]
    return values, positions < lengths[:, None]


def widen(values: Tensor, width: int, fill: float = 0) -> Tensor:
    """Pads the last dimension on the right to a width: `[..., T]` becomes `[..., width]`."""
    return pad(values, (0, width - values.shape[-1]), value=fill)


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The precision in which log-probabilities and values are computed: float32, or float64 for float64 weights."""
    return torch.promote_types(dtype, torch.float32)


def int_list(values: Tensor) -> list[int]:
    """Copies a one-dimensional tensor of whole numbers into a list."""
    numbers: Any = values
    return numbers.tolist()


def float_list(values: Tensor) -> list[float]:
    """Copies a one-dimensional floating-point tensor into a list."""
    numbers: Any = values
    return numbers.tolist()


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seeds torch's generator on the CPU for the length of a block and restores its state afterwards."""
    random: Any = torch.random
    with random.fork_rng(devices=[]):
        random.manual_seed(seed)
        yield


def check_shape(name: str, value: Tensor, *shape: int | None) -> None:
    """Checks a tensor's shape.

    Args:
        name: what the message calls the tensor.
        value: the tensor.
        *shape: the expected sizes; `None` stands for any size.

    Raises:
        ValueError: the shape differs.
    """
    fits = len(value.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not fits:
        expected = tuple("any" if size is None else size for size in shape)
        raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {expected}")
