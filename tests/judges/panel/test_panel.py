import threading
import time
from collections.abc import Sequence

import pytest
import torch

from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel
from cgpo.types import Outcome, Prompt, Sample, Verdict

S, V, N, U = Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE, Outcome.UNDECIDED


class Says(Judge):
    """Answers what it was given, in order, and remembers what it was asked."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = outcomes
        self.asked: list[str] = []
        self.closed = False

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.asked += [sample.response for sample in samples]
        return [Verdict(outcome, "said so") for outcome in self.outcomes]

    def close(self) -> None:
        self.closed = True


class Raises(Judge):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        raise self.error


def samples(*responses: str, **metadata: object) -> list[Sample]:
    return [Sample(Prompt("row", "question", metadata=metadata), response) for response in responses]


@pytest.mark.parametrize(
    ("outcomes", "satisfied", "decided"),
    [
        ((), True, True),
        ((S,), True, True),
        ((V,), False, True),
        ((N,), True, True),
        ((U,), False, False),
        ((S, S), True, True),
        ((S, V), False, True),
        ((S, N), True, True),
        ((S, U), False, False),
        ((V, U), False, True),
        ((U, V), False, True),
        ((N, U), False, False),
        ((N, N), True, True),
        ((S, U, V), False, True),
    ],
)
def test_the_conjunction_is_kleenes(outcomes: tuple[Outcome, ...], satisfied: bool, decided: bool) -> None:
    panel = Panel({f"judge {i}": Says(outcome) for i, outcome in enumerate(outcomes)})
    verdicts = panel.judge(samples("a"))
    assert verdicts.satisfied.tolist() == [satisfied]
    assert verdicts.decided.tolist() == [decided]
    assert verdicts.satisfied.dtype == verdicts.decided.dtype == torch.bool


def test_verdicts_keep_the_order_of_samples_and_of_judges() -> None:
    verdicts = Panel({"b": Says(S, V, S), "a": Says(S, N, U)}).judge(samples("x", "y", "z"))
    assert list(verdicts.by_judge) == ["b", "a"]
    assert [verdict.outcome for verdict in verdicts.by_judge["a"]] == [S, N, U]
    assert verdicts.satisfied.tolist() == [True, False, False]
    assert verdicts.decided.tolist() == [True, True, False]
    assert verdicts.seconds.keys() == {"b", "a"}
    assert min(verdicts.seconds.values()) >= 0


def test_a_judge_that_raises_is_undecided_on_all_and_never_passes() -> None:
    verdicts = Panel({"broken": Raises(RuntimeError("no route to host")), "fine": Says(S, V)}).judge(samples("a", "b"))
    assert [verdict.outcome for verdict in verdicts.by_judge["broken"]] == [U, U]
    assert verdicts.by_judge["broken"][0].reason == "the judge failed: RuntimeError: no route to host"
    assert verdicts.satisfied.tolist() == [False, False]
    assert verdicts.decided.tolist() == [False, True]


def test_bad_input_is_the_users_to_know() -> None:
    with pytest.raises(UserError, match="row 3"):
        Panel({"strict": Raises(UserError("row 3: no answer"))}).judge(samples("a"))


def test_a_wrong_number_of_verdicts_names_the_judge() -> None:
    with pytest.raises(ValueError, match="judge short: answered 1 verdicts on 2 samples"):
        Panel({"short": Says(S)}).judge(samples("a", "b"))


def test_equal_samples_are_judged_once() -> None:
    judge = Says(S, V)
    verdicts = Panel({"judge": judge}).judge(samples("a", "b", "a", "a"))
    assert judge.asked == ["a", "b"]
    assert verdicts.satisfied.tolist() == [True, False, True, True]


def test_equal_content_of_two_rows_is_judged_once_and_another_history_is_not() -> None:
    judge = Says(S, V)
    rows = [Prompt(key, "question") for key in ("row 1", "row 2")]
    other = Prompt("row 3", "question", history=({"role": "user", "content": "before"},))
    verdicts = Panel({"judge": judge}).judge([Sample(prompt, "a") for prompt in (*rows, other)])
    assert judge.asked == ["a", "a"]
    assert verdicts.satisfied.tolist() == [True, True, False]


def test_equal_responses_with_other_metadata_are_two() -> None:
    judge = Says(S, V)
    Panel({"judge": judge}).judge(samples("a", answer=1) + samples("a", answer=2))
    assert judge.asked == ["a", "a"]


def test_metadata_that_is_no_json_is_judged_all_the_same() -> None:
    verdicts = Panel({"judge": Says(S, V)}).judge(samples("a", answer=object()) + samples("a", answer=object()))
    assert verdicts.satisfied.tolist() == [True, False]


def test_no_samples_ask_nobody() -> None:
    verdicts = Panel({"judge": Raises(RuntimeError("asked"))}).judge([])
    assert verdicts.satisfied.shape == (0,)
    assert verdicts.by_judge == {"judge": ()}


class Where(Judge):
    """Says in which thread it judged, and whether gradients were on."""

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        reason = f"{threading.current_thread() is threading.main_thread()} {torch.is_grad_enabled()}"
        return [Verdict(S, reason) for _ in samples]


def test_submit_judges_in_the_background_without_gradients() -> None:
    verdicts = Panel({"where": Where()}).submit(samples("a")).result(timeout=60)
    assert verdicts.by_judge["where"][0].reason == "False False"
    with pytest.raises(UserError):
        Panel({"strict": Raises(UserError("row"))}).submit(samples("a")).result(timeout=60)


def test_close_closes_the_judges_that_can() -> None:
    judge = Says()
    Panel({"judge": judge, "other": Raises(OSError())}).close()
    assert judge.closed


def test_the_panel_of_some_has_these_alone_and_shares_them() -> None:
    judge = Says(S)
    both = Panel({"a": judge, "b": Says(V)}, cache=VerdictCache())
    some = both.of(["a"])
    assert some.names == ("a",)
    assert some.judge(samples("x")).satisfied.tolist() == [True]
    assert both.judge(samples("x")).satisfied.tolist() == [False]
    assert judge.asked == ["x"], "the second time it was known"


class Slow(Judge):
    """Notes how many of its calls ran at the same time."""

    def __init__(self) -> None:
        self.running = self.most = 0

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.running += 1
        self.most = max(self.most, self.running)
        time.sleep(0.05)
        self.running -= 1
        return [Verdict(S, "") for _ in samples]


def test_a_judge_has_one_batch_at_a_time() -> None:
    judge = Slow()
    panel = Panel({"slow": judge})
    futures = [panel.of(["slow"]).submit(samples(text)) for text in "abc"]
    panel.judge(samples("d"))
    assert all(future.result(timeout=60).satisfied.tolist() == [True] for future in futures)
    assert judge.most == 1


class Meets(Judge):
    """Answers only while the other judge is at work too."""

    def __init__(self, barrier: threading.Barrier) -> None:
        self.barrier = barrier

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.barrier.wait(timeout=60)
        return [Verdict(S, "met") for _ in samples]


def test_judges_work_at_the_same_time() -> None:
    barrier = threading.Barrier(2)
    verdicts = Panel({"a": Meets(barrier), "b": Meets(barrier)}).judge(samples("x"))
    assert [given[0].reason for given in verdicts.by_judge.values()] == ["met", "met"]
