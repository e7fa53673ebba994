"""Means over seeds with their confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Interval:
    """A mean with the half-width of its 95 % confidence interval; `None` where there is one value alone."""

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
    """The mean of independent values with Student's interval (1908): `t₀.₉₇₅(n − 1) · s / √n`.

    Args:
        values: at least one.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, student_quantile(n - 1) * math.sqrt(variance / n))


@lru_cache
def student_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's distribution with so many degrees of freedom, to six digits.

    With `x = √ν · tan θ` the distribution is an integral of `cos^(ν−1)` over a finite range, and bisection finds the
    angle at which it comes to 97.5 %.
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
    """`∫ cos^power` from 0 to `end`."""
    step = end / panels
    weights = [1, *([4, 2] * (panels // 2))[: panels - 1], 1]
    return step / 3 * math.fsum(w * math.cos(i * step) ** power for i, w in enumerate(weights))
