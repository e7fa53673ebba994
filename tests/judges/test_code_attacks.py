"""Programs that try to pass without being right, or to harm the machine: none passes, and the next run is unharmed."""

from collections.abc import Iterator

import pytest
from tests.sandbox.attacks import ATTACKS, REACHES, RIGHT, RIGHT_SCRIPT, SCRIPT_ATTACKS, SCRIPT_PAIRS, TESTS

from cgpo.errors import UserError
from cgpo.judges.code import CodeJudge
from cgpo.types import Outcome, Prompt, Sample, Verdict


@pytest.fixture(scope="module")
def judge() -> Iterator[CodeJudge]:
    try:
        judge = CodeJudge(timeout=1.0, memory_mb=256)
    except UserError as error:
        pytest.skip(str(error))
    yield judge
    judge.close()


def ask(judge: CodeJudge, program: str, *tests: str) -> Verdict:
    prompt = Prompt("row", "", metadata={"unit_tests": list(tests)})
    [verdict] = judge.judge([Sample(prompt, f"```python\n{program}\n```")])
    return verdict


@pytest.mark.parametrize("program", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_attack_passes_and_the_next_program_is_judged_as_ever(judge: CodeJudge, program: str) -> None:
    found = ask(judge, program, *TESTS)
    assert found.outcome == Outcome.VIOLATED, found.reason
    assert ask(judge, RIGHT, *TESTS).outcome == Outcome.SATISFIED


@pytest.mark.parametrize("tried", REACHES.values(), ids=REACHES.keys())
def test_what_lies_outside_cannot_be_reached(judge: CodeJudge, tried: str) -> None:
    found = ask(judge, f"def f():\n    {tried}\n    return True", "assert f() is True")
    assert found.outcome == Outcome.VIOLATED
    assert "Error" in found.reason


@pytest.mark.parametrize("program", SCRIPT_ATTACKS.values(), ids=SCRIPT_ATTACKS.keys())
def test_no_script_passes_without_the_answer(judge: CodeJudge, program: str) -> None:
    metadata = {"inputs": [text for text, _ in SCRIPT_PAIRS], "outputs": [text for _, text in SCRIPT_PAIRS]}
    prompt = Prompt("row", "", metadata=metadata)
    [found] = judge.judge([Sample(prompt, f"```python\n{program}\n```")])
    assert found.outcome == Outcome.VIOLATED, found.reason
    [found] = judge.judge([Sample(prompt, f"```python\n{RIGHT_SCRIPT}\n```")])
    assert found.outcome == Outcome.SATISFIED, found.reason


def test_files_of_a_run_are_gone_in_the_next(judge: CodeJudge) -> None:
    write = (
        "import os\nos.makedirs('/tmp/a/b')\nopen('/tmp/a/b/c', 'w').write('1')\nopen('/tmp/json.py', 'w').write('1')\n"
        "os.chmod('/tmp/a', 0)\ndef f(): return os.listdir('/tmp')"
    )
    assert ask(judge, write, "assert sorted(f()) == ['a', 'json.py']").outcome == Outcome.SATISFIED
    look = "import os\ndef f(): return os.listdir('/tmp')"
    for _ in range(4):
        assert ask(judge, look, "assert f() == []").outcome == Outcome.SATISFIED


def test_threads_are_allowed(judge: CodeJudge) -> None:
    program = (
        "from concurrent.futures import ThreadPoolExecutor\ndef f():\n"
        "    with ThreadPoolExecutor(4) as e: return list(e.map(str, range(3)))"
    )
    assert ask(judge, program, "assert f() == ['0', '1', '2']").outcome == Outcome.SATISFIED


def test_reasons_name_the_limit(judge: CodeJudge) -> None:
    assert ask(judge, ATTACKS["endless loop when called"], *TESTS).reason == (
        "0 of 3 tests passed; test 1: no result after 1 seconds"
    )
    assert "MemoryError" in ask(judge, ATTACKS["memory little by little"], *TESTS).reason
    assert ask(judge, ATTACKS["exit code 0 when called"], *TESTS).reason == (
        "0 of 3 tests passed; test 1: the program ended or broke the protocol"
    )
    assert ask(judge, ATTACKS["everyone killed"], *TESTS).reason == "0 of 3 tests passed; the program ended the test"
