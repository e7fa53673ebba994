"""Estimates from counts with their 95 % confidence intervals: exact functions of a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated, with the 95 % confidence interval from `low` to `high`."""

    value: float
    low: float
    high: float


def proportion(successes: float, trials: int) -> Estimate | None:
    """A share, with Wilson's score interval (1927); `None` without trials.

    Args:
        successes: from 0 to `trials`; not whole where a trial may succeed in part.
        trials: how many there were.
    """
    if trials == 0:
        return None
    share = successes / trials
    centre = (successes + Z * Z / 2) / (trials + Z * Z)
    half = Z / (trials + Z * Z) * math.sqrt(trials * share * (1 - share) + Z * Z / 4)
    # Rounding must not put the share itself outside.
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def f1(true_positives: int, false_positives: int, false_negatives: int) -> Estimate | None:
    """The harmonic mean of precision and recall; `None` where nothing is positive and nothing was found.

    F1 = 2J / (1 + J) grows with J = TP / (TP + FP + FN), a share: the interval is Wilson's for J, mapped the same way.
    """
    overlap = proportion(true_positives, true_positives + false_positives + false_negatives)
    if overlap is None:
        return None
    return Estimate(*(2 * share / (1 + share) for share in (overlap.value, overlap.low, overlap.high)))


def kappa(both: int, first_only: int, second_only: int, neither: int) -> Estimate | None:
    """Cohen's kappa of two raters, (p_o - p_e) / (1 - p_e); `None` where chance alone would make them agree.

    The agreement by chance p_e is taken as given, as in Cohen (1960), and the observed one gets Wilson's interval: it
    does not shrink to a point where the raters always agree, as the normal approximation of Fleiss, Cohen and Everitt
    (1969) does.

    Args:
        both: items that both raters call positive.
        first_only: items that only the first calls positive.
        second_only: items that only the second calls positive.
        neither: items that both call negative.
    """
    n = both + first_only + second_only + neither
    agreement = proportion(both + neither, n)
    if agreement is None:
        return None
    first, second = both + first_only, both + second_only
    # In whole numbers, so that certainty is noticed: n² p_e.
    by_chance = first * second + (n - first) * (n - second)
    if by_chance == n * n:
        return None
    expected = by_chance / (n * n)
    return Estimate(
        *((share - expected) / (1 - expected) for share in (agreement.value, agreement.low, agreement.high))
    )
