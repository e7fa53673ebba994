"""Judges in processes of their own."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.judges.panel.process_judge import ProcessJudge
from cgpo.types import Outcome, Prompt, Sample

SOURCE = '''
import os
import signal

from cgpo.errors import UserError
from cgpo.judges import Judge
from cgpo.types import Outcome, Verdict


class Says(Judge):
    """Says of each response in which process it was judged; some do harm."""

    cost = 2.5

    def __init__(self, mark):
        self.mark = mark

    def check_prompt(self, prompt):
        if prompt.text == "unreadable":
            raise UserError(f"row {prompt.key}: unreadable")

    def judge(self, samples):
        for sample in samples:
            if sample.response == "raise":
                raise OSError("no disk")
            if sample.response == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return [Verdict(Outcome.SATISFIED, f"{self.mark} {sample.response} {os.getpid()}") for sample in samples]
'''


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "judge_of_another_process.py").write_text(SOURCE)
    sys.path.append(str(folder))
    import judge_of_another_process  # pyright: ignore[reportMissingImports]

    yield partial(judge_of_another_process.Says, mark="!")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def judge(recipe: Any) -> Iterator[ProcessJudge]:
    made = ProcessJudge(recipe, processes=2)
    yield made
    made.close()


def samples(*responses: str) -> list[Sample]:
    return [Sample(Prompt("row", "question"), response) for response in responses]


def reasons(judge: ProcessJudge, *responses: str) -> list[list[str]]:
    return [verdict.reason.split() for verdict in judge.judge(samples(*responses))]


def test_samples_are_shared_between_processes_and_keep_their_order(judge: ProcessJudge) -> None:
    found = reasons(judge, *"abcde")
    assert [(mark, response) for mark, response, _ in found] == [("!", text) for text in "abcde"]
    pids = [int(pid) for *_, pid in found]
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    assert [int(pid) for *_, pid in reasons(judge, *"abcde")] == pids, "they stay"
    assert judge.judge([]) == []


def test_a_killed_process_is_replaced_and_no_verdict_is_lost(judge: ProcessJudge) -> None:
    before = {int(pid) for *_, pid in reasons(judge, "a", "b")}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    found = reasons(judge, "a", "b")
    assert [response for _, response, _ in found] == ["a", "b"]
    assert before.isdisjoint(int(pid) for *_, pid in found)


def test_what_a_judge_raises_is_raised_here_and_the_next_call_is_fine(judge: ProcessJudge) -> None:
    verdicts = Panel({"judge": judge}).judge(samples("a", "raise"))
    assert {v.reason for v in verdicts.by_judge["judge"]} == {"the judge failed: OSError: no disk"}
    with pytest.raises(RuntimeError, match="died twice"):
        judge.judge(samples("die"))
    assert len(reasons(judge, "a", "b")) == 2
    assert judge.judge(samples("a"))[0].outcome is Outcome.SATISFIED


def test_rows_are_shown_to_the_judge(judge: ProcessJudge) -> None:
    judge.check_prompt(Prompt("row 1", "readable"))
    with pytest.raises(UserError, match="row 2: unreadable"):
        judge.check_prompt(Prompt("row 2", "unreadable"))


def test_what_the_class_says_of_itself_is_known_without_a_process(recipe: Any) -> None:
    judge = ProcessJudge(recipe)
    assert (judge.cost, judge.deterministic) == (2.5, True)


def test_closing_ends_the_processes(recipe: Any) -> None:
    judge = ProcessJudge(recipe)
    ((*_, pid),) = reasons(judge, "a")
    judge.close()
    assert not Path(f"/proc/{pid}").exists()


class Made(Judge):
    def judge(self, samples: Sequence[Sample]) -> list[Any]:
        return []


class OfAScript(Made):
    __module__ = "__main__"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((OfAScript,), "judge OfAScript cannot be sent to another process: move it to a module of its own"),
        ((Made(),), "judge is to be made in another process: write _partial_: true"),
        ((lambda: Made(),), "judge cannot be sent to another process"),
        ((Made, 0), "processes is 0: it must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_made_elsewhere_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ProcessJudge(*arguments)
