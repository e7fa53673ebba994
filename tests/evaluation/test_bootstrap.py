"""Intervals against numbers worked out by hand, and what holds for all data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.evaluation.bootstrap import Ratio, Resamples, difference, draw_resamples, estimate, ratio
from cgpo.statistics import Estimate

BY_HAND = Resamples(np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
"""Two prompts; the first twice, both, the second twice."""
VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


def means(values: list[float]) -> Ratio:
    return ratio(values, [1.0] * len(values), share=False)


def close(found: Estimate | None, value: float, low: float, high: float) -> None:
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=1e-5)


def test_a_ratio_by_hand() -> None:
    # 4/6; in the resamples 2/4, 4/6 and 6/8. The 2.5 % percentile of three values lies a twentieth of the way from the
    # first to the second, the 97.5 % one as far below the third.
    close(estimate(ratio([1, 3], [2, 4]), BY_HAND), 2 / 3, 0.5 + (4 / 6 - 0.5) / 20, 0.75 - (0.75 - 4 / 6) / 20)


def test_a_prompt_that_says_nothing_takes_no_part() -> None:
    # The second prompt has no response that was judged: the resample of it alone is left out, the others say 1/2.
    number = ratio([1, 0], [2, 0])
    assert np.isnan(BY_HAND.apply(number)).tolist() == [False, False, True]
    close(estimate(number, BY_HAND), 0.5, 0.5, 0.5)
    assert estimate(ratio([0, 0], [0, 0]), BY_HAND) is None


def test_a_share_of_nothing_or_all_has_wilsons_interval() -> None:
    # Five prompts of four responses each are five trials, not twenty: z² / (5 + z²) = 3.8415 / 8.8415.
    few = draw_resamples(5, 100, seed=0)
    close(estimate(ratio([0] * 5, [4] * 5), few), 0.0, 0.0, 0.43448)
    close(estimate(ratio([4] * 5, [4] * 5), few), 1.0, 0.56552, 1.0)
    close(estimate(ratio([0, 0, 0, 0, 0], [4, 4, 4, 4, 4], share=False), few), 0.0, 0.0, 0.0)
    # Two prompts that say something: z² / (2 + z²).
    close(estimate(ratio([0] * 5, [4, 0, 4, 0, 0]), few), 0.0, 0.0, 0.65762)


def test_a_paired_difference_by_hand() -> None:
    # Means 1 and 2 of [0, 2] and [1, 3]: hard prompts are hard for both, so the difference is 1 in every resample.
    close(difference(means([0, 2]), means([1, 3]), BY_HAND), 1.0, 1.0, 1.0)
    # [0, 2] and [3, 1]: 3, 1, −1 in the resamples.
    close(difference(means([0, 2]), means([3, 1]), BY_HAND), 1.0, -1 + 0.1, 3 - 0.1)


def test_the_difference_of_two_certainties_has_newcombes_interval() -> None:
    few = draw_resamples(5, 100, seed=0)
    none, every = ratio([0] * 5, [1] * 5), ratio([1] * 5, [1] * 5)
    # Wilson: none in [0, 0.43448], all in [0.56552, 1]. 1 − √(0.43448² + 0.43448²) = 0.38555; above, nothing.
    close(difference(none, every, few), 1.0, 0.38555, 1.0)
    close(difference(none, none, few), 0.0, -0.43448, 0.43448)
    assert difference(none, ratio([0] * 5, [0] * 5), few) is None


def test_responses_of_one_prompt_are_one_cluster() -> None:
    """Four equal responses to each prompt say no more than one: the interval is the same."""
    right = np.array([1, 0, 1, 1, 0, 1, 0, 1.0])
    drawn = draw_resamples(8, 400, seed=3)
    assert estimate(Ratio(4 * right, np.full(8, 4.0)), drawn) == estimate(Ratio(right, np.ones(8)), drawn)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    held = 0
    for trial in range(300):
        # Prompts differ in difficulty, and the four responses to each share it: the mean of a Beta(2, 2) is 0.5.
        right = random.binomial(4, random.beta(2, 2, size=60))
        found = estimate(ratio(right, [4] * 60), draw_resamples(60, 300, seed=trial))
        assert found is not None
        held += found.low <= 0.5 <= found.high
    assert 0.90 <= held / 300 <= 0.98
    # As if the 240 responses were independent, the interval would be too short: this is what clusters are for.
    assert found.high - found.low > 1.1 * 2 * 1.96 * (0.25 / 240) ** 0.5


def test_the_seed_decides_and_each_resample_is_whole() -> None:
    first, same, other = draw_resamples(9, 50, 1), draw_resamples(9, 50, 1), draw_resamples(9, 50, 2)
    assert np.array_equal(first.counts, same.counts)
    assert not np.array_equal(first.counts, other.counts)
    assert (first.counts.sum(1) == 9).all()


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="two equal lengths"):
        ratio([1, 2], [1])


@given(VALUES, st.integers(0, 5))
def test_the_number_lies_in_its_interval(values: list[float], seed: int) -> None:
    found = estimate(means(values), draw_resamples(len(values), 100, seed))
    assert found is not None
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(np.mean(values), abs=1e-9)


@given(VALUES, st.floats(-10, 10), st.floats(0.1, 10))
def test_intervals_move_and_stretch_with_the_numbers(values: list[float], move: float, stretch: float) -> None:
    drawn = draw_resamples(len(values), 100, 0)
    plain, moved = estimate(means(values), drawn), estimate(means([stretch * v + move for v in values]), drawn)
    assert plain is not None
    close(moved, *(stretch * x + move for x in (plain.value, plain.low, plain.high)))


@given(VALUES, st.randoms(use_true_random=False))
def test_a_difference_turned_around_changes_its_sign(values: list[float], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    drawn = draw_resamples(len(values), 100, 0)
    there, back = (difference(means(a), means(b), drawn) for a, b in ((values, shuffled), (shuffled, values)))
    assert back is not None
    close(there, -back.value, -back.high, -back.low)
    close(difference(means(values), means(values), drawn), 0, 0, 0)
