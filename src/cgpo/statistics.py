"""Proportions, agreement and means over seeds with their 95 % confidence intervals, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95 % confidence interval, from `low` to `high`."""

    value: float
    low: float
    high: float


def proportion(successes: float, trials: int) -> Estimate | None:
    """Estimates a proportion with Wilson's score interval (1927).

    Args:
        successes: from 0 to `trials`; may be fractional, where a trial can succeed in part.
        trials: the number of trials.

    Returns:
        The proportion, or `None` without trials.
    """
    if trials == 0:
        return None
    share = successes / trials
    centre = (successes + Z * Z / 2) / (trials + Z * Z)
    half = Z / (trials + Z * Z) * math.sqrt(trials * share * (1 - share) + Z * Z / 4)
    # Rounding must not put the proportion itself outside its interval.
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def f1(true_positives: int, false_positives: int, false_negatives: int) -> Estimate | None:
    """Estimates F1, the harmonic mean of precision and recall.

    F1 = 2J / (1 + J) increases with J = TP / (TP + FP + FN), which is a proportion: the interval is Wilson's for J,
    mapped in the same way.

    Returns:
        The estimate, or `None` where nothing is positive and nothing was found.
    """
    overlap = proportion(true_positives, true_positives + false_positives + false_negatives)
    if overlap is None:
        return None
    return Estimate(*(2 * share / (1 + share) for share in (overlap.value, overlap.low, overlap.high)))


def kappa(both: int, first_only: int, second_only: int, neither: int) -> Estimate | None:
    """Estimates Cohen's kappa of two raters, (p_o - p_e) / (1 - p_e).

    The agreement by chance p_e is taken as given, as in Cohen (1960), and the observed agreement p_o gets Wilson's
    interval. Unlike the normal approximation of Fleiss, Cohen and Everitt (1969), it does not shrink to a point where
    the raters always agree.

    Args:
        both: items that both raters call positive.
        first_only: items that only the first calls positive.
        second_only: items that only the second calls positive.
        neither: items that both call negative.

    Returns:
        The estimate, or `None` where the raters would agree by chance alone.
    """
    n = both + first_only + second_only + neither
    agreement = proportion(both + neither, n)
    if agreement is None:
        return None
    first, second = both + first_only, both + second_only
    # n² p_e in whole numbers, so that certain agreement is recognised exactly.
    by_chance = first * second + (n - first) * (n - second)
    if by_chance == n * n:
        return None
    expected = by_chance / (n * n)
    return Estimate(
        *((share - expected) / (1 - expected) for share in (agreement.value, agreement.low, agreement.high))
    )


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Estimates the probability that at least one of `k` samples is correct.

    The unbiased estimator of Chen et al. (arXiv 2107.03374, eq. 1): 1 − C(n−c, k) / C(n, k).

    Args:
        samples: `n`, the number of samples, at least `k`.
        correct: `c`, how many of them are correct.
        k: the number of tries, at least 1.
    """
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


@dataclass(frozen=True)
class Interval:
    """A mean with the half-width of its 95 % confidence interval.

    Attributes:
        mean: the mean.
        half: the half-width; `None` for a single value.
    """

    mean: float
    half: float | None

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.half is not None and self.mean > self.half

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.half is not None and self.mean < -self.half


def mean_interval(values: Sequence[float]) -> Interval:
    """Computes the mean of independent values with Student's interval (1908): `t₀.₉₇₅(n − 1) · s / √n`.

    Args:
        values: at least one value.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, student_quantile(n - 1) * math.sqrt(variance / n))


@lru_cache
def student_quantile(degrees: int) -> float:
    """Computes the 97.5 % quantile of Student's t distribution to six digits.

    With `x = √ν · tan θ` the distribution function is an integral of `cos^(ν−1)` over a finite range; bisection finds
    the angle at which it reaches 97.5 %.

    Args:
        degrees: the degrees of freedom ν, at least 1.
    """
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        if scale * _simpson_of_cosine(degrees - 1, angle) < 0.475:
            low = angle
        else:
            high = angle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _simpson_of_cosine(power: int, end: float, panels: int = 400) -> float:
    """Integrates `cos^power` from 0 to `end` by Simpson's rule."""
    step = end / panels
    weights = [1, *([4, 2] * (panels // 2))[: panels - 1], 1]
    return step / 3 * math.fsum(w * math.cos(i * step) ** power for i, w in enumerate(weights))
