"""Answers that would hang, kill or slow down a computer algebra: each costs its own verdict at most."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.processes import wait_for_the_end_of

from cgpo.judges.math.judge import FORMS, MathJudge, extract
from cgpo.judges.math.symbolic import Symbolic
from cgpo.types import Outcome, Prompt, Sample, Verdict

BOMBS = [
    "9^{9^{9^9}}",
    "(x+y+z+w)^{500}",
    "(" * 300 + "7" + ")" * 300,
    r"\frac{" * 150 + "7" + "}{2}" * 150,
    r"\sqrt{" * 100 + "7" + "}" * 100,
    "100000!^{100000!}",
    r"\int_0^1 \int_0^1 \sin(\sin(\sin(x y)))^{99} dx dy",
    r"\sum_{n=1}^{10^9} n^{n}",
    r"\prod_{n=1}^{10^9} n",
    r"\begin{pmatrix}" + "1 & " * 200 + r"1\end{pmatrix}^{99}",
    "7" * 900 + "!" * 90,
    "{" * 400,
    r"\left(" * 200,
    "1" + "+x" * 400,
    "x^{" * 200 + "}" * 200,
    "２＋２",
    "\u202e7\u0000\ud800",
    "\\" * 900,
]


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    judge = MathJudge(timeout=0.7, memory_mb=1024)
    yield judge
    judge.close()


def ask(judge: MathJudge, response: str, truth: str) -> Verdict:
    [verdict] = judge.judge([Sample(Prompt("row", "", metadata={"answer": truth}), response)])
    return verdict


def harmless(judge: MathJudge) -> None:
    """The next checks are right, and the process that knows mathematics was never started anew."""
    assert ask(judge, "\\boxed{a+b}", "b+a").outcome == Outcome.SATISFIED
    assert ask(judge, "\\boxed{a-b}", "b+a").outcome == Outcome.VIOLATED
    assert judge._symbolic.starts == 1  # pyright: ignore


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: ascii(bomb[:20]))
def test_a_bomb_is_not_satisfied_and_the_next_answer_is_judged(judge: MathJudge, bomb: str) -> None:
    found = ask(judge, f"#### {bomb}", "c+7")
    assert found.outcome in {Outcome.UNDECIDED, Outcome.VIOLATED}
    harmless(judge)


def test_a_bomb_says_that_time_ran_out(judge: MathJudge) -> None:
    found = ask(judge, "\\boxed{9^{9^{9^9}}}", "7")
    assert found.outcome == Outcome.UNDECIDED
    assert found.reason.endswith("the comparison did not end within 0.7 seconds")


FORMULAS = [
    *(r"\frac{{{}}}{{{}}}", "{}^{{{}}}", r"\sqrt[{}]{{{}}}", "({})({})", r"\log_{{{}}} {}", "{}!+{}", "|{}|_{{{}}}"),
    *(r"\sum_{{n={}}}^{{{}}} n", r"\left\{{{},{}\right\}}", r"\binom{{{}}}{{{}}}", "{} \\times {}", "{}={}"),
]
PIECES = [
    *("x", "7", "99999999", "-1", r"\pi", r"\infty", "0.1", r"\text{m}", "$", r"\%", "{", "}", "\\", "é", "٣"),
    "\u202e",
]


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda form, a, b: form.format(a, b), st.sampled_from(FORMULAS), inner, inner)


LATEX = st.recursive(st.sampled_from(PIECES) | st.text(max_size=4), nested, max_leaves=12)


@settings(max_examples=40)
@given(latex=LATEX, copies=st.sampled_from([1, 1, 1, 40]))
def test_no_generated_expression_harms_the_next_check(judge: MathJudge, latex: str, copies: int) -> None:
    found = ask(judge, f"#### {latex * copies}", "c+7")
    assert found.outcome in {Outcome.UNDECIDED, Outcome.VIOLATED}
    harmless(judge)


@given(st.text("boxed{} \\#A:final answer is.\n", max_size=300))
def test_no_response_harms_the_extraction(response: str) -> None:
    for form in (None, *FORMS):
        answer = extract(response, form)
        assert answer is None or answer == answer.strip() != ""


@pytest.mark.parametrize(
    "piece", ["\\boxed{", "{", "}", "final answer is ", "#### ", "A: ", " ", "\n", "\\boxed{1}", "final answer is:\n"]
)
def test_a_response_of_a_megabyte_is_read_in_one_pass(piece: str) -> None:
    """With a second pass for each piece, this test would take hours."""
    response = piece * (1_000_000 // len(piece))
    for form in FORMS:
        extract(response, form)


@pytest.fixture
def symbolic() -> Iterator[Symbolic]:
    symbolic = Symbolic(timeout=20)
    assert symbolic.same("a+b", "b+a")
    yield symbolic
    symbolic.close()


@pytest.mark.parametrize("victim", ["process", "fork"])
def test_who_is_killed_from_outside_is_replaced_without_losing_or_confusing_a_verdict(
    symbolic: Symbolic, victim: str
) -> None:
    for noticed in (False, True):
        before = family(symbolic)
        os.kill(before[victim], signal.SIGKILL)
        if noticed:
            wait_for_the_end_of(before[victim])
        for answer, right in (("b+a", True), ("a-b", False), ("a+b", True), ("b-a", False)):
            assert symbolic.same("a+b", answer) is right
        wait_for_the_end_of(before[victim])
        assert symbolic.same("a+b", "b+a")
        assert family(symbolic)["fork"] != before["fork"]


def family(symbolic: Symbolic) -> dict[str, int]:
    """The process, and its fork that compares."""
    process = symbolic._process.pid  # pyright: ignore
    (fork,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return {"process": process, "fork": int(fork)}
