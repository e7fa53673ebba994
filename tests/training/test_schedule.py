"""The learning rate over a run."""

import math

import pytest

from cgpo.training.schedule import WarmupCosine


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    schedule = WarmupCosine(steps=10, warmup_steps=2, final_factor=0.2)
    assert [schedule(t) for t in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert schedule(6) == pytest.approx(0.6)  # half way: 0.2 + 0.8 · ½
    assert schedule(4) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert schedule(10) == pytest.approx(0.2)
    assert schedule(1000) == pytest.approx(0.2)


def test_a_constant_rate() -> None:
    schedule = WarmupCosine(steps=5, final_factor=1.0)
    assert {schedule(t) for t in range(8)} == {1.0}


def test_nothing_but_warm_up() -> None:
    schedule = WarmupCosine(steps=4, warmup_steps=4)
    assert [schedule(t) for t in range(4)] == [0.25, 0.5, 0.75, 1.0]
