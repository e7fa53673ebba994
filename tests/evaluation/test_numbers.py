"""Every number of an evaluation, worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.fakes import assessment, verdicts

from cgpo.evaluation.bootstrap import Ratio, draw_resamples
from cgpo.evaluation.numbers import differences, estimates, evaluation_numbers, mean_pass_at_k

# Three prompts, two responses each.
TEXTS = ("a b", "a", "b c", "b c d", "c", "c d")
FOUND = assessment(
    TEXTS,
    3,
    reward=[1.0, 2.0, 3.0, 5.0, 0.0, 1.0],
    own={"math": "+-//+?"},
    satisfied="+-+++?",
    also={"safety": verdicts("++--!+")},
    log_ratio=torch.tensor([0.5, -0.5, 1.0, 1.0, 0.0, 4.0]),
    gold=verdicts("+--?++"),
    measures={"loss": torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 4.0])},
)


def values(tree: Any) -> Any:
    if isinstance(tree, Ratio):
        return tree.value
    return None if tree is None else {name: values(inner) for name, inner in tree.items()}


def test_every_number_by_hand() -> None:
    assert values(evaluation_numbers(FOUND, pass_at=(1, 2))) == {
        "success": 3 / 5,  # of the five that gold decided
        # One of two, pass@1 1/2; of the second prompt's two only one was decided: wrong; two of two.
        "pass_at": {"1": pytest.approx((0.5 + 0 + 1) / 3), "2": pytest.approx((1 + 1) / 2)},
        "reward": 12 / 6,
        "kl": 1.0,
        "length": 11 / 6,
        "finished": 5 / 6,
        "satisfied": 4 / 5,
        "violation_rate": {"math": 1 / 3, "safety": 2 / 5},
        "undecided": {"math": 1 / 6, "safety": 0.0, "gold": 1 / 6},
        "not_applicable": {"math": 2 / 6, "safety": 0.0, "gold": 0.0},
        "not_asked": {"math": 0.0, "safety": 1 / 6, "gold": 0.0},
        "measures": {"loss": 1.5},
    }


def test_numbers_are_kept_by_prompt() -> None:
    found = evaluation_numbers(FOUND)
    assert found["success"].numerator.tolist() == [1, 0, 2]
    assert found["success"].denominator.tolist() == [2, 1, 2]
    assert found["reward"].numerator.tolist() == [3, 8, 1]
    assert found["violation_rate"]["math"].denominator.tolist() == [2, 0, 1]
    assert not found["reward"].share
    assert found["satisfied"].share


def test_without_gold_judges_and_reference_there_is_less_to_say() -> None:
    found = values(evaluation_numbers(assessment(("a", "b"), 2, [1.0, 2.0], {}), pass_at=(1,)))
    assert (found["success"], found["kl"], found["pass_at"], found["violation_rate"]) == (None, None, {}, {})
    assert found["satisfied"] == 1.0


def test_the_tree_of_estimates_is_as_the_tree_of_numbers() -> None:
    drawn = draw_resamples(3, 200, 0)
    found = estimates(evaluation_numbers(FOUND, pass_at=(2,)), drawn)
    assert set(found["reward"]) == {"value", "low", "high"}
    assert found["reward"]["value"] == 2.0
    # The prompts' mean rewards are 1.5, 4 and 0.5.
    assert 0.5 <= found["reward"]["low"] < 2.0 < found["reward"]["high"] <= 4.0
    assert estimates({"kl": None, "judges": {}}, drawn) == {"kl": None, "judges": {}}


def test_a_policy_does_not_differ_from_itself() -> None:
    found = evaluation_numbers(FOUND)
    gap = differences(found, found, draw_resamples(3, 200, 0))
    assert gap["reward"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert gap["violation_rate"]["safety"]["value"] == 0.0
    assert differences({"kl": None}, {"kl": found["kl"]}, draw_resamples(3, 200, 0)) == {"kl": None}


@pytest.mark.parametrize(
    ("n", "c", "k", "wanted"),
    [
        (4, 0, 4, 0.0),
        (4, 1, 1, 0.25),
        (4, 1, 2, 0.5),  # 1 − C(3, 2) / C(4, 2) = 1 − 3/6
        (4, 2, 2, 5 / 6),  # 1 − C(2, 2) / C(4, 2)
        (4, 3, 2, 1.0),  # any two hold a right one
        (10, 3, 5, 1 - 21 / 252),
    ],
)
def test_pass_at_k_of_one_prompt(n: int, c: int, k: int, wanted: float) -> None:
    assert mean_pass_at_k(np.array([float(n)]), np.array([float(c)]), k).value == pytest.approx(wanted)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(case: tuple[int, int, int]) -> None:
    """As Chen et al. write it for the computer: 1 − Π (1 − k / i) for i from n − c + 1 to n."""
    n, c, k = case
    product = math.prod(1 - k / i for i in range(n - c + 1, n + 1)) if n - c >= k else 0.0
    found = mean_pass_at_k(np.array([float(n)]), np.array([float(c)]), k).value
    assert found == pytest.approx(1 - product, abs=1e-12)
