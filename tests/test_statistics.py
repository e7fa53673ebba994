"""Estimates against numbers worked out by hand, and what holds for all counts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.statistics import Estimate, f1, kappa, pass_at_k, proportion

COUNT = st.integers(min_value=0, max_value=10**9)


def close(estimate: Estimate | None, value: float, low: float, high: float) -> None:
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value, low, high), abs=5e-5)


def test_a_proportion_has_wilsons_interval() -> None:
    # z² = 3.8415; 8 of 10: centre (8 + 1.92073) / 13.8415 = 0.71674, half 1.96 / 13.8415 · √(1.6 + 0.96036) = 0.22658
    close(proportion(8, 10), 0.8, 0.49016, 0.94332)
    # 0 of 10: from 0 to z² / (10 + z²) = 3.8415 / 13.8415
    close(proportion(0, 10), 0.0, 0.0, 0.27753)
    close(proportion(10, 10), 1.0, 0.72247, 1.0)
    assert proportion(0, 0) is None


def test_f1_maps_the_interval_of_the_overlap() -> None:
    # TP 8, FP 1, FN 1: overlap 8 of 10, F1 = 16/18; 0.49016 ↦ 0.98032/1.49016, 0.94332 ↦ 1.88664/1.94332
    close(f1(8, 1, 1), 8 / 9, 0.65786, 0.97083)
    close(f1(0, 3, 7), 0.0, 0.0, 2 * 0.27753 / 1.27753)
    assert f1(0, 0, 0) is None


def test_kappa_of_a_table_worked_out_by_hand() -> None:
    # 20, 5, 10, 15: p_o = 35/50; p_e = (25·30 + 25·20)/2500 = 0.5; kappa = 0.2/0.5
    # Wilson of 35 of 50: centre 36.92073/53.84146 = 0.68573, half 1.96/53.84146 · √(10.5 + 0.96036) = 0.12323
    close(kappa(20, 5, 10, 15), 0.4, (0.56249 - 0.5) / 0.5, (0.80897 - 0.5) / 0.5)
    # Raters that never agree: p_o = 0, p_e = 0.5
    close(kappa(0, 5, 5, 0), -1.0, -1.0, (0.27753 - 0.5) / 0.5)


def test_kappa_does_not_claim_certainty_for_raters_that_agreed_so_far() -> None:
    close(kappa(5, 0, 0, 5), 1.0, (0.72247 - 0.5) / 0.5, 1.0)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (7, 0, 0, 0), (0, 0, 0, 7)])
def test_kappa_is_not_defined_where_both_say_one_thing_only(counts: tuple[int, int, int, int]) -> None:
    assert kappa(*counts) is None


def test_kappa_is_nought_where_one_says_one_thing_only() -> None:
    found = kappa(3, 0, 7, 0)
    assert found is not None
    assert found.value == pytest.approx(0)


@given(COUNT, COUNT, COUNT, COUNT)
def test_every_interval_holds_its_value_and_stays_in_range(a: int, b: int, c: int, d: int) -> None:
    for estimate in (proportion(a, a + b), f1(a, b, c), kappa(a, b, c, d)):
        if estimate is not None:
            assert estimate.low <= estimate.value <= estimate.high <= 1 + 1e-9
            assert math.isfinite(estimate.low)
    for estimate in (proportion(a, a + b), f1(a, b, c)):
        assert estimate is None or estimate.low >= 0


@given(COUNT, COUNT, COUNT, COUNT)
def test_kappa_does_not_depend_on_the_order_of_the_raters_nor_of_the_classes(a: int, b: int, c: int, d: int) -> None:
    found = [kappa(a, b, c, d), kappa(a, c, b, d), kappa(d, b, c, a)]
    values = [estimate.value for estimate in found if estimate is not None]
    assert len(values) in (0, 3)
    assert values == pytest.approx(values[:1] * len(values), abs=1e-9)


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_more_rows_make_the_interval_narrower(successes: int, failures: int) -> None:
    n = successes + failures
    few, many = proportion(successes, n), proportion(10 * successes, 10 * n)
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(
    ("count", "right", "tries", "rate"),
    [(5, 2, 1, 0.4), (5, 2, 2, 0.7), (5, 2, 4, 1.0), (5, 0, 3, 0.0), (3, 3, 1, 1.0), (10, 1, 10, 1.0)],
)
def test_pass_at_k(count: int, right: int, tries: int, rate: float) -> None:
    assert pass_at_k(count, right, tries) == pytest.approx(rate)
