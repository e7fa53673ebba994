"""Means over seeds and their intervals, against the tables of Student's distribution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.statistics import Interval, mean_interval, student_quantile

TABLE = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 9: 2.26216, 29: 2.04523, 120: 1.97993}


@pytest.mark.parametrize(("degrees", "expected"), TABLE.items())
def test_quantiles_are_those_of_the_table(degrees: int, expected: float) -> None:
    assert student_quantile(degrees) == pytest.approx(expected, rel=1e-4)


def test_three_values_by_hand() -> None:
    # s = 0.1, so that the half-width is 4.30265 · 0.1 / √3.
    interval = mean_interval([0.4, 0.5, 0.6])
    assert interval.mean == pytest.approx(0.5)
    assert interval.half == pytest.approx(0.248414, rel=1e-4)
    assert interval.above
    assert not interval.below


def test_one_value_says_nothing_of_its_spread() -> None:
    interval = mean_interval([0.7])
    assert interval == Interval(0.7, None)
    assert not interval.above


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8), st.floats(-10, 10))
def test_a_shift_moves_the_mean_alone(values: list[float], shift: float) -> None:
    before, after = mean_interval(values), mean_interval([value + shift for value in values])
    assert after.mean == pytest.approx(before.mean + shift, abs=1e-6)
    assert after.half == pytest.approx(before.half, abs=1e-6)
