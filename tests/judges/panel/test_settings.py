"""What a person may ask of a panel: what failures count as, the order, and caps on spend."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.errors import UserError
from cgpo.judges.base import Cost, Judge
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel
from cgpo.judges.panel.settings import Caps
from cgpo.judges.panel.worker import JudgeError
from cgpo.types import Outcome, Prompt, Sample, Verdict

S, V, N, U = Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE, Outcome.UNDECIDED
NOT_ASKED = Outcome.NOT_ASKED


class Fails(Judge):
    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        raise OSError("no route to host")


class Knows(Judge):
    """Says of each response what was laid down for it, and remembers what it was asked."""

    def __init__(self, outcomes: dict[str, Outcome], cost: float | None = None) -> None:
        self.outcomes = outcomes
        self.asked: list[str] = []
        if cost is not None:
            self.cost = cost

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.asked += [sample.response for sample in samples]
        return [Verdict(self.outcomes[sample.response], "as laid down") for sample in samples]


def samples(responses: Sequence[str]) -> list[Sample]:
    return [Sample(Prompt("row", "question"), response) for response in responses]


def outcomes(verdicts: Any, judge: str) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts.by_judge[judge]]


# What a failure counts as.


def test_a_failure_counts_as_each_judges_setting_says() -> None:
    panel = Panel({"strict": Fails(), "lenient": Fails()}, on_error={"strict": "violated"})
    verdicts = panel.judge(samples("ab"))
    assert outcomes(verdicts, "strict") == [V, V]
    assert outcomes(verdicts, "lenient") == [U, U], "a judge that is not named keeps the default"
    assert verdicts.by_judge["strict"][0].reason == "the judge failed: OSError: no route to host"
    assert verdicts.decided.tolist() == [True, True]


def test_a_failure_may_end_the_run() -> None:
    with pytest.raises(JudgeError, match="judge net failed: OSError: no route to host"):
        Panel({"net": Fails()}, on_error="raise").submit(samples("a")).result(timeout=60)


def test_a_failure_is_asked_again_whatever_it_counted_as() -> None:
    cache = VerdictCache()
    Panel({"net": Fails()}, on_error="violated", cache=cache, versions={"net": "1"}).judge(samples("a"))
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "ignore"}, "Panel.on_error is 'ignore': it must be undecided, violated or raise"),
        ({"on_error": {"code": "rise"}}, "Panel.on_error.code is 'rise': it must be undecided, violated or raise"),
        ({"beyond_cap": "go"}, "Panel.beyond_cap is 'go': it must be undecided or stop"),
        ({"max_calls": -1}, "Panel.max_calls is -1: it must be a whole number of at least 0, or "),
        ({"max_tokens": {"code": 1.5}}, "Panel.max_tokens.code is 1.5: it must be a whole number"),
        ({"max_tokens": True}, "Panel.max_tokens is True: it must be a whole number"),
    ],
)
def test_a_wrong_setting_is_refused_before_there_are_judges(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Panel({}, **settings)
    assert str(caught.value).startswith(message)


# Cheap judges first.


def test_dear_judges_see_what_no_cheaper_one_found_violated() -> None:
    laid_down = {"a": S, "b": V, "c": U, "d": N}
    cheap, dear = Knows(laid_down), Knows(dict.fromkeys("abcd", V), cost=Cost.MODEL)
    verdicts = Panel({"dear": dear, "cheap": cheap}, short_circuit=True, cache=VerdictCache()).judge(samples("abcdb"))
    assert cheap.asked == list("abcd")
    assert dear.asked == list("acd")
    assert list(verdicts.by_judge) == ["dear", "cheap"], "told in the order given"
    assert outcomes(verdicts, "dear") == [V, NOT_ASKED, V, V, NOT_ASKED]
    assert verdicts.by_judge["dear"][1].reason == "already violated by cheap"
    assert verdicts.satisfied.tolist() == [False] * 5
    assert verdicts.decided.tolist() == [True] * 5
    assert verdicts.cached == {"dear": 0, "cheap": 0}


def test_judges_of_one_cost_see_the_same() -> None:
    first, second = Knows({"a": V}, cost=1), Knows({"a": V}, cost=1)
    Panel({"first": first, "second": second}, short_circuit=True).judge(samples("a"))
    assert (first.asked, second.asked) == (["a"], ["a"])


def test_by_default_every_judge_sees_everything() -> None:
    dear = Knows({"a": S}, cost=Cost.ENDPOINT)
    Panel({"cheap": Knows({"a": V}), "dear": dear}).judge(samples("a"))
    assert dear.asked == ["a"]


def test_where_nothing_is_left_the_dear_are_not_asked() -> None:
    dear = Knows({}, cost=Cost.ENDPOINT)
    verdicts = Panel({"cheap": Knows({"a": V}), "dear": dear}, short_circuit=True).judge(samples("a"))
    assert dear.asked == []
    assert outcomes(verdicts, "dear") == [NOT_ASKED]


def test_a_cost_that_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="judge odd: its cost is 'high': it must be a number"):
        Panel({"odd": Knows({}, cost="high")})  # pyright: ignore[reportArgumentType]


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2.5]), st.lists(st.sampled_from([S, V, N, U]), min_size=4, max_size=4)),
        max_size=5,
    )
)
def test_the_conclusion_is_the_same_with_and_without_short_circuit(judges: list[tuple[float, list[Outcome]]]) -> None:
    def panel(short_circuit: bool) -> Any:
        known = {f"{i}": Knows(dict(zip("abcd", says, strict=True)), cost) for i, (cost, says) in enumerate(judges)}
        made = Panel(known, short_circuit=short_circuit)
        try:
            return made.judge(samples("abcd"))
        finally:
            made.close()

    short, whole = panel(True), panel(False)
    assert short.satisfied.tolist() == whole.satisfied.tolist()
    assert short.decided.tolist() == whole.decided.tolist()
    for j, (cost, says) in enumerate(judges):
        for i, given_by_short in enumerate(outcomes(short, str(j))):
            cheaper = [other[i] for other_cost, other in judges if other_cost < cost]
            assert given_by_short is (NOT_ASKED if V in cheaper else says[i])


# Caps on spend.


class Paid(Judge):
    """Counts calls and tokens as an endpoint does: none where it is not applicable."""

    def __init__(self, tokens_a_call: int = 10) -> None:
        self.tokens_a_call = tokens_a_call
        self.usage = {"calls": 0, "tokens": 0}

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        asked = [sample for sample in samples if not sample.response.startswith("skip")]
        self.usage["calls"] += len(asked)
        self.usage["tokens"] += self.tokens_a_call * len(asked)
        return [Verdict(S if sample in asked else N, "paid for") for sample in samples]


def numbered(count: int) -> list[Sample]:
    return samples([str(i) for i in range(count)])


def test_beyond_the_most_calls_samples_are_undecided_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    judge = Paid()
    panel = Panel({"paid": judge}, max_calls=5)
    with caplog.at_level(logging.WARNING):
        first, second = panel.judge(numbered(8)), panel.judge(numbered(2))
    assert outcomes(first, "paid") == [S] * 5 + [U] * 3
    assert first.by_judge["paid"][5].reason == "not judged: 5 calls are spent, of at most 5 (panel.max_calls)"
    assert outcomes(second, "paid") == [U, U]
    assert judge.usage["calls"] == 5
    assert len(caplog.records) == 1
    assert "judge paid: 5 calls are spent" in caplog.text


def test_what_costs_nothing_does_not_count() -> None:
    judge = Paid()
    verdicts = Panel({"paid": judge}, max_calls=2).judge(samples(["skip 1", "skip 2", "a", "skip 3", "b", "c"]))
    assert outcomes(verdicts, "paid") == [N, N, S, N, S, U]


def test_the_most_tokens_are_kept_to_by_what_calls_took_until_now() -> None:
    judge = Paid(tokens_a_call=10)
    verdicts = Panel({"paid": judge}, max_tokens=205).judge(numbered(40))
    assert judge.usage["tokens"] == 210, "one call more than fits, since nobody knows what a call will take"
    assert outcomes(verdicts, "paid") == [S] * 21 + [U] * 19


def test_a_cap_holds_over_all_tasks_and_may_stop_the_run() -> None:
    panel = Panel({"paid": Paid()}, max_calls={"paid": 3}, beyond_cap="stop")
    panel.of(["paid"]).judge(numbered(3))
    with pytest.raises(UserError, match=r"judge paid: 3 calls are spent, of at most 3 \(panel.max_calls\); "):
        panel.of(["paid"]).judge(samples("x"))


def test_what_is_known_is_not_paid_for_twice() -> None:
    panel = Panel({"paid": Paid()}, max_calls=3, cache=VerdictCache())
    panel.judge(numbered(3))
    assert outcomes(panel.judge(numbered(4)), "paid") == [S, S, S, U]


def test_one_cap_for_all_is_for_those_that_count_and_one_by_name_must_fit() -> None:
    Panel({"free": Knows({}), "paid": Paid()}, max_calls=1, max_tokens={"paid": 3})
    with pytest.raises(UserError, match=r"panel.max_calls.free: Knows does not count what it spends"):
        Panel({"free": Knows({})}, max_calls={"free": 1})


def test_room_under_a_cap() -> None:
    assert Caps(calls=5).room({"calls": 2, "tokens": 99}) == 3
    assert Caps(tokens=100).room({}) == 8
    assert Caps(tokens=100).room({"calls": 4, "tokens": 60}) == 2  # 15 tokens a call
    assert Caps(tokens=100).room({"calls": 4, "tokens": 99}) == 1
    assert Caps(calls=5, tokens=100).room({"calls": 1, "tokens": 10}) == 4
    assert Caps(calls=5).room({"calls": 6}) == 0
