"""The code judge on programs that read standard input and print."""

from collections.abc import Iterator

import pytest

from cgpo.errors import UserError
from cgpo.judges.code import CodeJudge
from cgpo.sandbox.inside.streams import difference
from cgpo.types import Outcome, Prompt, Sample, Verdict

SUM = "a, b = map(int, input().split())\nprint(a + b)"


@pytest.fixture(scope="module")
def judge() -> Iterator[CodeJudge]:
    try:
        judge = CodeJudge(timeout=3.0, memory_mb=256)
    except UserError as error:
        pytest.skip(str(error))
    yield judge
    judge.close()


def ask(judge: CodeJudge, program: str, *pairs: tuple[str, str]) -> Verdict:
    metadata = {"inputs": [pair[0] for pair in pairs], "outputs": [pair[1] for pair in pairs]}
    [verdict] = judge.judge([Sample(Prompt("row", "", metadata=metadata), f"```python\n{program}\n```")])
    return verdict


@pytest.mark.parametrize(
    ("printed", "expected", "problem"),
    [
        ("3\n", "3", None),
        ("3  \r\n4\t\n\n\n", "3\n4\n", None),
        ("", "\n", None),
        ("a\n\nb", "a\n\nb", None),
        (" 3", "3", "line 1 of the output is ' 3', expected '3'"),
        ("3.0", "3", "line 1 of the output is '3.0', expected '3'"),
        ("3\n5\n", "3\n4\n", "line 2 of the output is '5', expected '4'"),
        ("3", "3\n4", "line 2 of the output is missing, expected '4'"),
        ("3\n4", "3", "line 2 of the output is '4', expected no more"),
        ("x" * 99, "y", f"line 1 of the output is '{'x' * 60}…', expected 'y'"),
    ],
)
def test_white_space_at_the_ends_is_all_that_is_forgiven(printed: str, expected: str, problem: str | None) -> None:
    assert difference(printed, expected) == problem


def test_a_right_script_passes_and_a_wrong_one_says_where(judge: CodeJudge) -> None:
    pairs = ("1 2\n", "3\n"), ("5 5", "10"), ("0 -1\n", "-1")
    assert ask(judge, SUM, *pairs) == Verdict(Outcome.SATISFIED, "all 3 tests passed")
    assert ask(judge, SUM.replace("+", "*"), *pairs, ("2 2", "4")) == Verdict(
        Outcome.VIOLATED, "1 of 4 tests passed; test 1: line 1 of the output is '2', expected '3'"
    )
    assert ask(judge, SUM, ("1 2", "3"), ("1", "1")).reason == (
        "1 of 2 tests passed; test 2: exit status 1: ValueError: not enough values to unpack (expected 2, got 1)"
    )


@pytest.mark.parametrize(
    ("program", "text", "printed"),
    [
        ("if __name__ == '__main__':\n    print('main')", "", "main"),
        ("import sys\nprint(sum(map(int, sys.stdin)))", "1\n2\n3\n", "6"),
        ("import sys\nsys.stdout.write(sys.stdin.read().upper())", "grüße ☃", "GRÜSSE ☃"),
        ("import sys\nprint(len(sys.stdin.buffer.read()))", "x" * 3_000_000, "3000000"),
        ("print('x' * 3_000_000)", "unread" * 100_000, "x" * 3_000_000),
        ("import os\nos.write(1, os.read(0, 9))", "ab", "ab"),
        ("import sys\nprint(1)\nsys.exit()", "", "1"),
        ("import sys\nprint(1)\nsys.exit(0)\nprint(2)", "", "1"),
        ("import atexit\natexit.register(print, 2)\nprint(1)", "", "1\n2"),
        ("import threading\nthreading.Timer(0.05, print, [2]).start()\nprint(1)", "", "1\n2"),
        ("import io, sys\nprint('a')\nout = sys.stdout\nsys.stdout = io.StringIO()\nprint('b')", "", "a"),
        ("import sys\nprint('a')\nprint('b', file=sys.stderr)", "", "a"),
        ("import sys\nprint('a')\nsys.stdout.close()", "", "a"),
        ("import subprocess\nprint(subprocess.run(['cat'], input=b'x', capture_output=True).stdout)", "", "b'x'"),
        ("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\nprint(P(1))", "", "P(x=1)"),
        ("import sys\nsys.setrecursionlimit(10**5)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(20000))", "", "20000"),
    ],
)
def test_it_runs_as_the_interpreter_would_run_it(judge: CodeJudge, program: str, text: str, printed: str) -> None:
    assert ask(judge, program, (text, printed)) == Verdict(Outcome.SATISFIED, "the test passed")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print(7", "exit status 1: SyntaxError: '(' was never closed"),
        ("print(7)\nraise ValueError('no')", "exit status 1: ValueError: no"),
        ("import sys\nprint(7)\nsys.exit(3)", "exit status 3"),
        ("import sys\nprint(7)\nsys.exit('sorry')", "exit status 1: sorry"),
        ("import os\nprint(7, flush=True)\nos.kill(os.getpid(), 11)", "signal 11"),
        ("import os\nprint(7)\nos._exit(0)", "line 1 of the output is missing, expected '7'"),
        ("while True: print('x' * 10**6)", "the output is too large"),
        ("print(open('main.py').read())", "exit status 1: FileNotFoundError: [Errno 2] No such file or directory"),
    ],
)
def test_other_endings_fail(judge: CodeJudge, program: str, reason: str) -> None:
    found = ask(judge, program, ("", "7"))
    assert found.outcome == Outcome.VIOLATED
    assert found.reason.startswith(f"0 of 1 tests passed; test 1: {reason}")


def test_a_run_leaves_nothing_to_the_next_input_but_files(judge: CodeJudge) -> None:
    program = "import builtins\nprint(getattr(builtins, 'left', 0))\nbuiltins.left = 1"
    assert ask(judge, program, ("", "0"), ("", "0"), ("", "0")).outcome == Outcome.SATISFIED


def test_a_script_that_waits_runs_out_of_time(judge: CodeJudge) -> None:
    assert ask(judge, "print(1)\nimport time\ntime.sleep(99)", ("", "1")).reason == (
        "0 of 1 tests passed; test 1: no result after 3 seconds"
    )


def test_a_daemon_that_holds_the_output_does_not_keep_the_judge_waiting(judge: CodeJudge) -> None:
    program = "import os, time\nprint(1, flush=True)\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)"
    assert ask(judge, program, ("", "1"), ("", "1")).outcome == Outcome.SATISFIED
