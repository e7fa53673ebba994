"""Judges that do not answer: what they are at is known, it can be given up, and the run and its exit go on."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.judges.panel.standing_still import Sleeps, Stoppable, activity
from tests.processes import until

from cgpo.errors import UserError
from cgpo.judges.base import Cost, Judge
from cgpo.judges.code import CodeJudge
from cgpo.judges.panel.batch import active_judges
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel
from cgpo.judges.panel.process_judge import ProcessJudge
from cgpo.judges.panel.worker import JudgeError
from cgpo.types import Outcome, Prompt, Sample, Verdict

S, V, N, U = Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE, Outcome.UNDECIDED


def samples(*responses: str, **metadata: object) -> list[Sample]:
    return [Sample(Prompt(f"row {i}", f"question {i}", metadata=metadata), text) for i, text in enumerate(responses)]


def said(verdicts: Any, judge: str = "judge") -> list[tuple[Outcome, str]]:
    return [(verdict.outcome, verdict.reason) for verdict in verdicts.by_judge[judge]]


class SleepsLikeAModel(Sleeps):
    cost = Cost.MODEL


class Awake(Judge):
    cost = Cost.MODEL

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        return [Verdict(S, "awake") for _ in samples]


@pytest.fixture(params=[Sleeps, SleepsLikeAModel])
def sleeper(request: pytest.FixtureRequest) -> Iterator[Sleeps]:
    judge = request.param()
    yield judge
    judge.release.set()


def test_what_a_judge_is_at_is_known_while_it_is_at_it(sleeper: Sleeps) -> None:
    before = time.monotonic()
    answer = Panel({"one of a kind": sleeper}).submit(samples("a", "sleep"))
    work = activity("one of a kind")
    assert (work.asked, work.keys) == (2, ["row 0", "row 1"])
    assert before <= work.began <= time.monotonic()
    sleeper.release.set()
    answer.result(timeout=60)
    assert [work for work in active_judges() if work.judge == "one of a kind"] == []


def test_a_judge_that_cannot_be_interrupted_is_left_behind_and_asked_again_in_another_thread(sleeper: Sleeps) -> None:
    cache = VerdictCache()
    panel = Panel({"judge": sleeper, "other": Awake()}, cache=cache, versions={"judge": "1", "other": "2"})
    panel.judge(samples("a"))
    stuck = panel.submit(samples("a", "sleep"))
    activity("judge", lambda work: work.keys == ["row 1"]).give_up("no answer for 3 s")
    verdicts = stuck.result(timeout=60)
    assert said(verdicts) == [(S, "awake"), (U, "no answer for 3 s")], "what was known stays known"
    assert said(verdicts, "other") == [(S, "awake")] * 2
    assert verdicts.decided.tolist() == [True, False]
    assert verdicts.cached["judge"] == 1
    assert said(panel.submit(samples("b")).result(timeout=60)) == [(S, "awake")]
    sleeper.release.set()
    until(lambda: len(sleeper.threads) == 3)
    assert said(panel.judge(samples("sleep"))) == [(S, "awake")]
    assert sleeper.asked == ["a", "sleep", "b", "sleep"], "what came late was not kept"


def test_what_waited_behind_a_batch_that_is_given_up_is_judged(sleeper: Sleeps) -> None:
    panel = Panel({"judge": sleeper})
    stuck = panel.submit(samples("sleep"))
    work = activity("judge")
    waiting = [panel.submit(samples(text)) for text in "ab"]
    assert not any(answer.done() for answer in waiting)
    work.give_up("late")
    assert [said(answer.result(timeout=60)) for answer in [stuck, *waiting]] == [
        [(U, "late")],
        [(S, "awake")],
        [(S, "awake")],
    ]
    work.give_up("too late")
    assert said(panel.judge(samples("c"))) == [(S, "awake")], "what is answered cannot be given up any more"


def test_the_threads_of_judges_that_are_gone_end() -> None:
    def threads() -> int:
        return sum(thread.name == "judge-fleeting" for thread in threading.enumerate())

    panel = Panel({"fleeting": Sleeps()})
    panel.judge(samples("a"))
    assert threads() == 1
    del panel
    gc.collect()
    until(lambda: threads() == 0)


def test_closing_ends_the_waiting(sleeper: Sleeps) -> None:
    panel = Panel({"judge": sleeper})
    stuck = panel.submit(samples("sleep"))
    activity("judge")
    panel.close()
    assert stuck.exception(timeout=60) is not None


def test_a_judge_that_can_be_interrupted_says_where_it_is_and_keeps_what_it_has() -> None:
    answer = Panel({"judge": Stoppable()}).submit(samples("a", "sleep", "b"))
    activity("judge", lambda work: work.keys == ["row 1"]).give_up("late")
    assert said(answer.result(timeout=60)) == [(V, "long"), (U, "late"), (U, "late")]


@pytest.mark.parametrize("on_error", ["undecided", "violated", "raise"])
def test_an_interrupted_judge_that_raises_is_undecided_whatever_its_failures_count_as(on_error: str) -> None:
    panel = Panel({"judge": Stoppable(OSError("killed"))}, on_error=on_error)
    answer = panel.submit(samples("a", "sleep"))
    activity("judge", lambda work: work.keys == ["row 1"]).give_up("late")
    assert said(answer.result(timeout=60)) == [(U, "late")] * 2
    failing = Panel({"judge": Stoppable(OSError("killed"))}, on_error="raise")
    failing._workers["judge"]._judge.release.set()  # pyright: ignore
    with pytest.raises(JudgeError):
        failing.judge(samples("sleep"))


class Stubborn(Sleeps):
    def interrupt(self, reason: str) -> None:
        raise OSError("nothing to kill")


def test_a_judge_that_fails_to_end_is_left_behind_after_its_grace(caplog: pytest.LogCaptureFixture) -> None:
    judge = Stubborn()
    panel = Panel({"judge": judge})
    answer = panel.submit(samples("sleep"))
    activity("judge")
    panel._workers["judge"].give_up("late", grace=0.05)  # pyright: ignore[reportPrivateUsage]
    assert said(answer.result(timeout=60)) == [(U, "late")]
    assert [record.message for record in caplog.records] == [
        "judge judge cannot be interrupted: OSError: nothing to kill"
    ]
    judge.release.set()


SOURCE = """
import os
import time

from cgpo.judges import Judge
from cgpo.types import Outcome, Verdict


class Sleepy(Judge):
    def __init__(self, here, go):
        self.here, self.go = here, go

    def judge(self, samples):
        for sample in samples:
            if sample.response == "sleep":
                time.sleep(1000)
            if sample.response == "wait":
                self.here.touch()
                while not self.go.exists():
                    time.sleep(0.01)
        return [Verdict(Outcome.SATISFIED, f"{os.getpid()}") for _ in samples]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "sleepy_judge_of_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    import sleepy_judge_of_a_test  # pyright: ignore[reportMissingImports]

    return partial(sleepy_judge_of_a_test.Sleepy, tmp_path / "here", tmp_path / "go")


def test_the_stuck_process_of_a_judge_is_killed_and_replaced(recipe: Any, tmp_path: Path) -> None:
    judge = ProcessJudge(recipe, processes=2)
    panel = Panel({"judge": judge})
    before = [int(reason) for _, reason in said(panel.judge(samples("a", "b")))]
    answer = panel.submit(samples("sleep", "wait", "c", "d"))
    until((tmp_path / "here").exists)
    (tmp_path / "go").touch()
    activity("judge", lambda work: work.keys == ["row 0", "row 2"]).give_up("late")
    found = said(answer.result(timeout=60))
    assert found == [(U, "late"), (S, str(before[1])), (U, "late"), (S, str(before[1]))]
    assert not Path(f"/proc/{before[0]}").exists()
    after = [int(reason) for _, reason in said(panel.judge(samples("f", "g")))]
    assert after[0] != before[0]
    assert after[1] == before[1]
    panel.close()


ENDLESS = "```python\nwhile True:\n    pass\n```"
ADDS = "```python\ndef add(a, b):\n    return a + b\n```"
TESTS = {"unit_tests": ["assert add(1, 2) == 3"]}


def test_the_programs_that_run_are_killed_and_their_sandboxes_replaced() -> None:
    try:
        judge = CodeJudge(timeout=100.0, memory_mb=256, workers=1)
    except UserError as error:
        pytest.skip(str(error))
    panel = Panel({"code": judge})
    answer = panel.submit(samples(ADDS, ENDLESS, "no program", ADDS, **TESTS))
    activity("code", lambda work: work.keys == ["row 1"]).give_up("late")
    found = said(answer.result(timeout=60), "code")
    assert [outcome for outcome, _ in found] == [S, U, V, U]
    assert found[1][1] == found[3][1] == "late"
    assert said(panel.judge(samples(ADDS, **TESTS)), "code") == [(S, "the test passed")]
    panel.close()


EXIT = """
import time
from cgpo.judges.panel.batch import active_judges
from cgpo.judges import Judge, Panel
from cgpo.types import Prompt, Sample

class Endless(Judge):
    def judge(self, samples):
        while True:
            pass

panel = Panel({"endless": Endless()})
answer = panel.submit([Sample(Prompt("row", "question"), "response")])
while not active_judges():
    time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["active_judges()[0].give_up('late'); print(answer.result())", "1 / 0", ""])
def test_a_process_with_an_endless_judge_exits(end: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", EXIT + end], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == (1 if end == "1 / 0" else 0), err
    assert (b"late" in out) is ("late" in end)
