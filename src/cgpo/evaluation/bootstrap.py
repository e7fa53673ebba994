"""Confidence intervals by resampling prompts: a prompt's responses are one cluster, drawn together or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cgpo.statistics import Estimate, proportion

Numbers = NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """A number that is one sum over prompts divided by another: a mean, a share, a rate among what was judged.

    Attributes:
        numerator: `[P]`, what each of the `P` prompts adds to the numerator.
        denominator: `[P]`, what each prompt adds to the denominator, at least 0; a prompt with 0 does not count.
        share: whether the number always lies between 0 and 1.

    Raises:
        ValueError: the two have different lengths.
    """

    numerator: Numbers
    denominator: Numbers
    share: bool = True

    def __post_init__(self) -> None:
        if self.numerator.shape != self.denominator.shape or self.numerator.ndim != 1:
            raise ValueError(f"ratio of {self.numerator.shape} to {self.denominator.shape}: two equal lengths wanted")

    @property
    def value(self) -> float | None:
        """The number itself, or `None` if no prompt counts."""
        whole = self.denominator.sum()
        return float(self.numerator.sum() / whole) if whole > 0 else None

    @property
    def extreme(self) -> bool:
        """Whether it is a share that is 0, or 1, in every prompt that counts."""
        total, whole = self.numerator.sum(), self.denominator.sum()
        return self.share and bool(whole > 0) and bool(total == 0 or total == whole)

    @property
    def clusters(self) -> int:
        """The number of prompts that count."""
        return int((self.denominator > 0).sum())


def ratio(numerator: ArrayLike, denominator: ArrayLike, share: bool = True) -> Ratio:
    """Makes a `Ratio` of two sequences of numbers."""
    return Ratio(np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64), share)


@dataclass(frozen=True)
class Resamples:
    """Resamples of `P` prompts, the same for every number, so that differences between policies are paired.

    Attributes:
        counts: `[R, P]`, how often each of `R` resamples contains each prompt; each row adds up to `P`.
    """

    counts: Numbers

    def apply(self, number: Ratio) -> Numbers:
        """Computes the number in each resample, `[R]`; NaN where none of the prompts in it counts."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.counts @ number.numerator) / (self.counts @ number.denominator)


def draw_resamples(prompts: int, resamples: int, seed: int) -> Resamples:
    """Resamples prompts with replacement (Efron, 1979).

    Args:
        prompts: `P`, at least 1.
        resamples: `R`.
        seed: the same seed gives the same resamples.
    """
    counts = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    return Resamples(counts.astype(np.float64))


def estimate(number: Ratio, resamples: Resamples) -> Estimate | None:
    """Estimates a number with its 95 % percentile interval.

    If a share is 0, or 1, in all prompts, resampling shows no spread at all; the interval is then Wilson's, with as
    many trials as there are prompts that count.

    Returns:
        The estimate, or `None` if no prompt counts.
    """
    value = number.value
    if value is None:
        return None
    low, high = _percentiles(resamples.apply(number))
    if number.extreme:
        wilson = proportion(value * number.clusters, number.clusters)
        assert wilson is not None
        low, high = wilson.low, wilson.high
    return _with_interval(value, low, high)


def difference(first: Ratio, second: Ratio, resamples: Resamples) -> Estimate | None:
    """Estimates the second number minus the first with the 95 % percentile interval of the paired difference.

    Both are computed over the same prompts in every resample, so that what makes a prompt hard for both cancels. If
    both are shares of 0 or 1 in all prompts, the interval is Newcombe's (1998, method 10), from their Wilson intervals.

    Returns:
        The estimate, or `None` if either number is missing.
    """
    one, other = estimate(first, resamples), estimate(second, resamples)
    if one is None or other is None:
        return None
    value = other.value - one.value
    low, high = _percentiles(resamples.apply(second) - resamples.apply(first))
    if first.extreme and second.extreme:
        below = math.hypot(other.value - other.low, one.high - one.value)
        above = math.hypot(other.high - other.value, one.value - one.low)
        low, high = value - below, value + above
    return _with_interval(value, low, high)


def _percentiles(values: Numbers) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]) if len(defined) else (0.0, 0.0)
    return float(low), float(high)


def _with_interval(value: float, low: float, high: float) -> Estimate:
    # Rounding, or a handful of prompts, must not put the number itself outside its interval.
    return Estimate(value, min(value, low), max(value, high))
