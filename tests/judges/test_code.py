"""The code judge on honest programs. `test_code_attacks.py` has the others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.judges.code import CodeJudge
from cgpo.sandbox import sandbox
from cgpo.types import Outcome, Prompt, Sample, Verdict

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="module")
def judge() -> Iterator[CodeJudge]:
    try:
        judge = CodeJudge(timeout=2.0, memory_mb=256)
    except UserError as error:
        pytest.skip(str(error))
    yield judge
    judge.close()


def verdict(judge: CodeJudge, program: str, *tests: str, **metadata: object) -> Verdict:
    prompt = Prompt("row", "write it", metadata={"unit_tests": list(tests), **metadata})
    [verdict] = judge.judge([Sample(prompt, f"Here:\n```python\n{program}\n```\n")])
    return verdict


ADD = "def add(a, b):\n    return a + b"


def test_a_right_program_passes_and_a_wrong_one_says_where(judge: CodeJudge) -> None:
    tests = ["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"]
    assert verdict(judge, ADD, *tests) == Verdict(Outcome.SATISFIED, "all 3 tests passed")
    assert verdict(judge, "def add(a, b):\n    return a - b", *tests) == Verdict(
        Outcome.VIOLATED, "1 of 3 tests passed; test 1: AssertionError in `assert add(1, 2) == 3`"
    )
    assert verdict(judge, "def add(a):\n    return a", *tests).reason.startswith(
        "0 of 3 tests passed; test 1: TypeError"
    )
    assert verdict(judge, "def sub(a, b):\n    return 0", *tests).reason == (
        "0 of 3 tests passed; test 1: NameError: name 'add' is not defined in `assert add(1, 2) == 3`"
    )


def test_a_program_that_does_not_load_says_why(judge: CodeJudge) -> None:
    assert verdict(judge, "def add(a, b:", "assert add(1, 2) == 3").reason.startswith(
        "the program does not load: SyntaxError"
    )
    assert verdict(judge, "import numpy", "assert add(1, 2) == 3").reason.startswith(
        "the program does not load: ModuleNotFoundError: No module named 'numpy'"
    )


def test_it_applies_to_rows_with_tests_only(judge: CodeJudge) -> None:
    rows = [
        Prompt("a", "", metadata={"answer": "3"}),
        Prompt("b", "", metadata={"unit_tests": ["assert add(1, 2) == 3"]}),
    ]
    outcomes = [verdict.outcome for verdict in judge.judge([Sample(row, "no code") for row in rows])]
    assert outcomes == [Outcome.NOT_APPLICABLE, Outcome.VIOLATED]


def test_a_check_function_tests_the_entry_point_after_the_shown_beginning(judge: CodeJudge) -> None:
    beginning = 'import math\n\ndef half(x):\n    return x / 2\n\ndef area(r):\n    """Area."""\n'
    check = (
        "def check(candidate):\n    assert candidate(2) == math.pi * 4\n    assert half(candidate(2)) == math.pi * 2\n"
    )
    metadata = {"unit_tests": None, "test": check, "entry_point": "area", "code_prefix": beginning}
    assert verdict(judge, "    return math.pi * r * r", **metadata).outcome == Outcome.SATISFIED
    assert verdict(judge, "def area(r):\n    return math.pi * r * r", **metadata).outcome == Outcome.SATISFIED
    assert verdict(judge, "def area(r):\n    return 3 * r * r", **metadata).reason == (
        "0 of 1 tests passed; test 1: AssertionError in `assert candidate(2) == math.pi * 4`"
    )
    assert verdict(judge, "def other(r):\n    return 1", **{**metadata, "code_prefix": ""}).reason == (
        "the program does not load: NameError: name 'area' is not defined"
    )


@pytest.mark.parametrize(
    ("program", "test"),
    [
        (
            "def f(): return [1, (2.5, 'a'), {3: None}, {4}, b'x', 1 + 2j]",
            "assert f() == [1, (2.5, 'a'), {3: None}, {4}, b'x', 1 + 2j]",
        ),
        ("def f(): return 7 ** 100", "assert f() == 7 ** 100"),
        ("def f(x): x.append(3)", "x = [1]\nf(x)\nassert x == [1, 3]"),
        ("def f(g): return g(2)", "assert f(lambda x: x + 1) == 3"),
        ("def f():\n    yield 1\n    yield 2", "assert list(f()) == [1, 2]"),
        ("def f():\n    yield 1\n    yield 2", "assert next(f()) == 1"),
        (
            "class P:\n    def __init__(self, a): self.a = a\ndef f(p): return p.a",
            "p = P(3)\np.a = 4\nassert f(p) == 4",
        ),
        ("def f(): raise KeyError('k')", "try:\n    f()\n    assert False\nexcept KeyError:\n    pass"),
        (
            "class Odd(ValueError): pass\ndef f(): raise Odd('k')",
            "try:\n    f()\n    assert False\nexcept ValueError:\n    pass",
        ),
        ("from collections import Counter\ndef f(s): return Counter(s)", "assert f('aab') == {'a': 2, 'b': 1}"),
        ("def sum(a, b): return a + b + 1", "assert sum(1, 2) == 4"),
        ("def string(a): return str(a)", "assert string(3) == '3'"),
        ("class Solution:\n    def f(self, a): return a + 1", "assert Solution().f(1) == 2"),
        ("def f(x): return x", "assert math.isclose(f(0.1 + 0.2), 0.3)"),
        ("if __name__ == '__main__':\n    input()\ndef f(): return 1", "assert f() == 1"),
        ("print('hello')\ndef f(): return 1", "assert f() == 1"),
        (
            "from fractions import Fraction\ndef f(): return Fraction(1, 3)",
            "from fractions import Fraction\nassert f() == Fraction(1, 3)",
        ),
    ],
)
def test_values_cross_to_the_tester_and_back(judge: CodeJudge, program: str, test: str) -> None:
    assert verdict(judge, program, test).outcome == Outcome.SATISFIED


@pytest.mark.parametrize(
    ("program", "test"),
    [
        ("def f(): return 1", "assert f() == '1'"),
        ("def f(): return [1, 2]", "assert f() == (1, 2)"),
        ("def f(): return float('nan')", "assert f() == f()"),
        ("def f(): return None", "assert f()"),
        ("def f(): raise ValueError", "try:\n    f()\nexcept KeyError:\n    pass"),
        ("f = 1", "assert f(1) == 1"),
        ("def f(): return -1\ndef all(x): return True", "r = [f()]\nassert all(v > 0 for v in r)"),
    ],
)
def test_wrong_values_do_not(judge: CodeJudge, program: str, test: str) -> None:
    assert verdict(judge, program, test).outcome == Outcome.VIOLATED


def test_setup_code_serves_program_and_tests(judge: CodeJudge) -> None:
    setup = "import math\nBASE = 10"
    assert verdict(
        judge, "def f(x): return math.floor(x) + BASE", "assert f(1.5) == BASE + 1", test_setup_code=setup
    ).outcome == (Outcome.SATISFIED)


def test_tests_that_cannot_be_sent_leave_the_sample_undecided(judge: CodeJudge) -> None:
    found = verdict(judge, "def f(x): return 1", "class A: pass\nassert f(A()) == 1")
    assert found.outcome == Outcome.UNDECIDED
    assert "hands the program a A" in found.reason


def test_many_at_once_keep_their_order(judge: CodeJudge) -> None:
    prompt = Prompt("row", "", metadata={"unit_tests": ["assert f() == 1"]})
    samples = [Sample(prompt, f"```python\ndef f(): return {i % 3}\n```") for i in range(30)]
    assert [v.outcome == Outcome.SATISFIED for v in judge.judge(samples)] == [i % 3 == 1 for i in range(30)]


def test_only_blocks_with_a_named_tag_may_count() -> None:
    try:
        judge = CodeJudge(workers=1, languages=["Python", ""])
    except UserError as error:
        pytest.skip(str(error))
    prompt = Prompt("row", "", metadata={"unit_tests": ["assert f() == 1"]})
    right, wrong = "def f(): return 1\n", "def f(): return 2\n"
    responses = [
        f"```python\n{right}```\n```bash\nls\n```",
        f"```\n{right}```",
        f"```js\n{right}```",
        f"```python\n{wrong}```\n```js\n{right}```",
    ]
    found = judge.judge([Sample(prompt, response) for response in responses])
    judge.close()
    assert [verdict.outcome for verdict in found] == [Outcome.SATISFIED] * 2 + [Outcome.VIOLATED] * 2
    assert found[2].reason == "no complete fenced code block tagged 'python' or ''"
    with pytest.raises(UserError, match=r"languages must be a list such as \[python, py\], not 'python'"):
        CodeJudge(languages="python")


def test_tests_that_are_not_lines_are_the_users_to_know(judge: CodeJudge) -> None:
    with pytest.raises(UserError, match="row rows:7: metadata 'unit_tests'"):
        judge.judge([Sample(Prompt("rows:7", "", metadata={"unit_tests": "assert f()"}), "```\nf = 1\n```")])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"unit_tests": ["assert f()", 3]}, "'unit_tests' must be a list of lines of Python"),
        ({"unit_tests": ["assert f()"], "test_setup_code": ["import os"]}, "'test_setup_code' must be a text, not"),
        ({"test": 3, "entry_point": "f"}, "'test' must be a text, not 3"),
        ({"inputs": ["1"], "outputs": ["1", "2"]}, "'inputs' has 1 texts, but 'outputs' 2"),
        ({"inputs": ["1"]}, "'outputs' must be a list of texts"),
        ({"inputs": "1", "outputs": ["1"]}, "'inputs' must be a list of texts"),
        ({"inputs": ["1"], "outputs": [1]}, "'outputs' must be a list of texts"),
    ],
)
def test_bad_rows_are_named_when_they_are_loaded(judge: CodeJudge, metadata: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"row rows:7: metadata {message}"):
        judge.check_prompt(Prompt("rows:7", "", metadata=metadata))


def test_a_machine_without_bubblewrap_stops_with_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"needs bwrap .*: apt-get install bubblewrap") as caught:
        sandbox.Sandbox()
    assert "\n" not in str(caught.value)


def test_a_machine_without_user_namespaces_stops_with_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("bwrap", "setpriv"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match=r"No permissions to create new namespace.*user namespaces") as caught:
        sandbox.Sandbox()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", ["humaneval/HumanEval.jsonl", "mbpp/train.jsonl"])
def test_published_solutions_pass(judge: CodeJudge, data: str) -> None:
    if not (DATA / data).exists():
        pytest.skip(f"optional data ../shared/data/{data} is absent")
    rows = [json.loads(line) for line in (DATA / data).read_text().splitlines()][:40]
    samples = []
    for row in rows:
        metadata = {k: row[k] for k in ("test", "entry_point", "test_setup_code") if k in row}
        program = row["code"] if "code" in row else row["prompt"] + row["canonical_solution"]
        prompt = Prompt(str(row["task_id"]), "", metadata={**metadata, "unit_tests": row.get("test_list")})
        samples.append(Sample(prompt, f"```python\n{program}\n```"))
    assert {v.outcome for v in judge.judge(samples)} == {Outcome.SATISFIED}
