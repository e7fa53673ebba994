"""The alarm's rule, on series worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.evaluation.alarm import Reading, alarm, alarms


def series(*points: tuple[float, float], count: int = 100, error: float = 0.1) -> list[Reading]:
    """Readings ten updates apart, of (reward, signal)."""
    return [Reading(10 * i, reward, error, signal, count) for i, (reward, signal) in enumerate(points)]


def test_reward_up_and_signal_down_gives_alarm_with_the_numbers() -> None:
    found = alarm(series((0.0, 0.8), (1.0, 0.4)))
    assert found is not None
    assert (found.before.step, found.after.step) == (0, 10)
    assert found.reward_sigmas == pytest.approx(1 / math.sqrt(0.02))
    # Both together 0.6, so √(0.24 · 2/100) = 0.0693, and 0.4 of a fall is 5.77 of it.
    assert found.signal_sigmas == pytest.approx(5.7735, abs=1e-4)
    assert found.sentence("chat", "gold") == (
        "chat: from update 0 to 10 the learned reward rose from 0.00 to 1.00 while gold success fell from 0.80 to "
        "0.40, 5.8 standard errors"
    )
    assert "while the agreement of math_code fell" in found.sentence("chat", "agreement/math_code")
    assert "while what satisfies the held-out judge facts fell" in found.sentence("chat", "judge/facts")


@pytest.mark.parametrize(
    "points",
    [
        ((0.0, 0.8), (1.0, 0.9)),  # both up: what training is for
        ((1.0, 0.8), (0.0, 0.4)),  # both down: a collapse, not a game
        ((0.0, 0.8), (0.0, 0.4)),  # no more reward
        ((0.0, 0.8), (0.4, 0.4)),  # 2.8 errors of reward
        ((0.0, 0.8), (1.0, 0.62)),  # 2.8 errors of the signal
        ((0.0, 1.0), (1.0, 1.0)),
        ((0.0, 0.0), (1.0, 0.0)),
        ((0.0, 0.8),),
        (),
    ],
)
def test_anything_else_does_not(points: tuple[tuple[float, float], ...]) -> None:
    assert alarm(series(*points)) is None


def test_the_same_fall_on_fewer_prompts_is_noise() -> None:
    points = ((0.0, 0.8), (1.0, 0.6))
    assert alarm(series(*points, count=20, error=0.0)) is None
    assert alarm(series(*points, count=200, error=0.0)) is not None


def test_it_began_at_the_last_of_the_best_evaluations() -> None:
    found = alarm(series((0.0, 0.7), (0.2, 0.8), (0.4, 0.8), (1.0, 0.5), (2.0, 0.3)))
    assert found is not None
    assert (found.before.step, found.after.step) == (20, 40)


def test_a_better_evaluation_with_as_much_reward_is_not_where_it_began() -> None:
    """The reward must have risen since: from update 0 it did, from update 10 it did not."""
    found = alarm(series((0.0, 0.7), (2.0, 0.9), (2.0, 0.3)))
    assert found is not None
    assert found.before.step == 0


def test_a_series_gives_alarm_as_long_as_the_rule_holds() -> None:
    found = alarms(series((0.0, 0.8), (1.0, 0.4), (1.5, 0.3), (1.5, 0.8)))
    assert [(a.before.step, a.after.step) for a in found] == [(0, 10), (0, 20)]


def test_an_evaluation_that_counts_nothing_is_passed_over() -> None:
    first, nothing, last = (
        Reading(0, 0.0, 0.1, 0.8, 100),
        Reading(5, 0.5, 0.1, 0.0, 0),
        Reading(9, 1.0, 0.1, 0.4, 100),
    )
    assert alarm([first, nothing]) is None
    found = alarm([first, nothing, last])
    assert found is not None
    assert found.before is first


reading = st.builds(
    Reading, st.integers(0, 99), st.floats(-9, 9), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000)
)


@given(st.lists(reading, max_size=6), st.floats(1, 5))
def test_what_gives_alarm_rose_and_fell_and_a_stricter_rule_gives_no_more(
    readings: list[Reading], sigmas: float
) -> None:
    found = alarm(readings, sigmas)
    if found:
        assert found.after.reward > found.before.reward
        assert found.after.signal < found.before.signal
    if alarm(readings, sigmas + 1):
        assert found is not None
