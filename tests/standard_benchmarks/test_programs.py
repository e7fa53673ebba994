"""The harness's programs run in the sandbox, and come to what `code_eval` would say."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.sandbox.sandbox import Report, Sandbox, SandboxError
from cgpo.sandbox.sandbox import Tests as ProgramTests
from cgpo.standard_benchmarks.programs import SandboxedPrograms, programs_in_sandbox, require_contained


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(timeout=2.0)
    yield sandbox
    sandbox.close()


def test_each_program_is_run_against_all_tests(sandbox: Sandbox) -> None:
    tests = "assert add(1, 2) == 3\nassert add(0, 0) == 0"
    right, wrong = "def add(a, b):\n    return a + b", "def add(a, b):\n    return 3"
    rates, passed = SandboxedPrograms(sandbox).compute(references=[tests], predictions=[[right, wrong]], k=[1, 2, 3])
    assert passed == [[True, False]]
    assert rates == {"pass@1": 0.5, "pass@2": 1.0}


def test_a_check_by_name_is_run_too(sandbox: Sandbox) -> None:
    tests = "METADATA = {}\n\ndef check(candidate):\n    assert candidate(2) == 4\n\ncheck(double)"
    programs = ["def double(x):\n    return 2 * x", "def double(x):\n    return x", "def doubled(x):\n    return 2 * x"]
    _, passed = SandboxedPrograms(sandbox).compute(references=[tests], predictions=[programs])
    assert passed == [[True, False, False]]


def test_a_program_reaches_nothing_and_forges_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    hostile = [
        f"open({str(tmp_path / 'here')!r}, 'w').write('x')\ndef f(): return 1",
        "import os; os._exit(0)",
        "while True: pass",
        "class Equal:\n    def __eq__(self, other): return True\ndef f(): return Equal()",
    ]
    metric = SandboxedPrograms(sandbox)
    _, passed = metric.compute(references=["assert f() == 1"], predictions=[hostile])
    assert passed == [[False, False, False, False]]
    assert not (tmp_path / "here").exists()
    assert metric.undecided == 0


class Scripted(Sandbox):
    """A sandbox that says what it was told to."""

    def __init__(self, *answers: Report | SandboxError) -> None:
        self.answers = list(answers)

    def run(self, program: str, tests: ProgramTests) -> Report:
        answer = self.answers.pop(0)
        if isinstance(answer, SandboxError):
            raise answer
        return answer


PASSED = Report((None,), False, False, None, True, None)
CANNOT = Report(("…",), False, False, None, True, "a test hands the program a module")


def test_a_sandbox_that_dies_is_tried_again_and_what_it_cannot_tell_is_counted() -> None:
    dead = SandboxError("it died")
    metric = SandboxedPrograms(Scripted(dead, dead, PASSED, dead, dead, dead, CANNOT))
    _, passed = metric.compute(references=["t"], predictions=[["a", "b", "c"]])
    assert passed == [[True, False, False]]
    assert metric.undecided == 2


def test_the_metric_is_handed_out_for_as_long_as_it_lasts() -> None:
    evaluate = pytest.importorskip("evaluate", reason="needs the extra lm-eval")
    own = evaluate.load
    with programs_in_sandbox(Scripted(PASSED)) as metric:
        assert evaluate.load("code_eval") is metric
        stale = type(sys)("lm_eval.tasks.stale")
        stale.metric = metric  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules["lm_eval.tasks.stale"] = stale
    assert evaluate.load is own
    assert "lm_eval.tasks.stale" not in sys.modules


def test_tasks_that_run_programs_elsewhere_are_refused() -> None:
    require_contained("mbpp_plus")
    with pytest.raises(UserError, match="cruxeval_input: this task runs programs that the model wrote"):
        require_contained("cruxeval_input")
