"""Win rates by hand."""

from tests.evaluation.fakes import assessment, verdicts

from cgpo.evaluation.bootstrap import Ratio
from cgpo.evaluation.win_rate import win_rates

# Two prompts, two responses each.
OWN = assessment(("a", "b", "c", "d"), 2, [1.0, 3.0, 0.0, 2.0], {"math": "+-?+"}, gold=verdicts("+++-"))
OTHER = assessment(("e", "f", "g", "d"), 2, [2.0, 1.0, 0.0, 2.1], {"math": "-+-+"}, gold=verdicts("----"))


def rates(criterion: str, own: object = OWN, other: object = OTHER) -> list[float | None]:
    found = win_rates(own, other, [criterion])  # type: ignore[arg-type]
    numbers = [found[name][criterion] for name in ("win_rate", "ties", "uncompared")]
    return [None if number is None else number.value for number in numbers if isinstance(number, Ratio)]


def test_the_higher_reward_wins_and_ties_count_half() -> None:
    # First prompt: 1 loses to 2, ties with 1; 3 beats both. Second: 0 ties with 0, loses to 2.1; 2 beats 0, and ties
    # with 2.1, for it is the same text. Wins 3, ties 3, of 8.
    assert rates("reward") == [(3 + 1.5) / 8, 3 / 8, 0.0]


def test_a_satisfied_response_beats_a_violated_one() -> None:
    # First prompt: + against − wins, against + ties; − against − ties, against + loses. Second: the undecided one is
    # compared with nothing; + beats −, ties with +. Wins 2, ties 3, of 6; 2 of 8 not compared.
    assert rates("math") == [(2 + 1.5) / 6, 3 / 6, 2 / 8]


def test_gold_is_a_criterion_too() -> None:
    assert rates("gold") == [7 / 8, 2 / 8, 0.0]


def test_a_model_against_itself_wins_half() -> None:
    for criterion in ("reward", "math", "gold"):
        assert rates(criterion, OWN, OWN)[0] == 0.5


def test_a_judge_that_was_not_a_constraint_is_a_criterion_too() -> None:
    own = assessment(("a",), 1, [0.0], {}, also={"safety": verdicts("+")})
    assert rates("safety", own, assessment(("b",), 1, [0.0], {}, also={"safety": verdicts("-")})) == [1.0, 0.0, 0.0]
    unknown = assessment(("b",), 1, [0.0], {}, also={"safety": verdicts("/")})
    assert rates("safety", own, unknown) == [None, None, 1.0]
