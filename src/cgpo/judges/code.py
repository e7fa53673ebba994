"""The code judge: the response's program, run against the row's unit tests in a sandbox (section 4.1.4)."""

from __future__ import annotations

import queue
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cgpo.errors import UserError
from cgpo.judges.sandbox import Report, Sandbox, SandboxError, Tests
from cgpo.types import Outcome, Prompt, Sample, Verdict

_FENCED = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*[\w+#.-]*[^\n`]*\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)


class CodeJudge:
    """Satisfied where the last fenced block of the response passes every unit test of the row.

    Applies to rows with metadata `unit_tests` (lines such as `assert add(1, 2) == 3`; optional `test_setup_code`) or
    with `test` and `entry_point` (`test` defines `check(candidate)`; optional `code_prefix`, the beginning of the
    program that the prompt shows). A response without a complete fenced block is violated, and so is a program that
    runs out of time or memory.

    Args:
        timeout: wall-clock seconds a program has for all its tests.
        memory_mb: memory of a process of a program.
        workers: programs that run at the same time.

    Raises:
        UserError: this machine cannot isolate programs; the message says what to install or to enable.
    """

    def __init__(self, timeout: float = 5.0, memory_mb: int = 512, workers: int = 2) -> None:
        if timeout <= 0 or memory_mb < 64 or workers < 1:
            raise UserError(f"code judge: timeout {timeout}, memory_mb {memory_mb} (at least 64), workers {workers}")
        self._idle: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._sandboxes = [Sandbox(timeout, memory_mb) for _ in range(workers)]
        for sandbox in self._sandboxes:
            self._idle.put(sandbox)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="code-judge")
        self._timeout = timeout

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """One verdict a sample; undecided only where the sandbox failed twice, or cannot run the row's tests."""
        return list(self._threads.map(self._judge_one, samples))

    def check_prompt(self, prompt: Prompt) -> None:
        """Asserts that the row's unit tests can be read, if it has any.

        Raises:
            UserError: naming the row.
        """
        _tests(prompt)

    def close(self) -> None:
        """Ends the sandboxes."""
        self._threads.shutdown()
        for sandbox in self._sandboxes:
            sandbox.close()

    def _judge_one(self, sample: Sample) -> Verdict:
        tests = _tests(sample.prompt)
        if tests is None:
            return Verdict(Outcome.NOT_APPLICABLE, "the row has no unit tests")
        code = last_fenced_block(sample.response)
        if code is None:
            return Verdict(Outcome.VIOLATED, "no complete fenced code block")
        sandbox = self._idle.get()
        try:
            try:
                report = sandbox.run(_program(tests.prefix, code), tests)
            except SandboxError:
                report = sandbox.run(_program(tests.prefix, code), tests)
        except SandboxError as error:
            return Verdict(Outcome.UNDECIDED, str(error))
        finally:
            self._idle.put(sandbox)
        return _verdict(report, len(tests.sources), self._timeout)


def last_fenced_block(response: str) -> str | None:
    """The code of the last complete fenced block, `None` where there is none."""
    blocks = [match["code"] for match in _FENCED.finditer(response.replace("\r\n", "\n"))]
    return blocks[-1] if blocks else None


def _tests(prompt: Prompt) -> Tests | None:
    metadata = prompt.metadata
    lines = metadata.get("unit_tests")
    if lines:
        if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
            raise UserError(f"row {prompt.key}: metadata 'unit_tests' must be a list of lines of Python")
        return Tests(tuple(lines), setup=str(metadata.get("test_setup_code") or ""))
    if metadata.get("test") and metadata.get("entry_point"):
        prefix = str(metadata.get("code_prefix") or "")
        return Tests((str(metadata["test"]),), entry_point=str(metadata["entry_point"]), prefix=prefix)
    return None


def _program(prefix: str, code: str) -> str:
    """The code after the beginning that the prompt shows, or alone where the two do not fit."""
    try:
        compile(prefix + "\n" + code, "<program>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    return prefix + "\n" + code


def _verdict(report: Report, count: int, timeout: float) -> Verdict:
    passed = sum(problem is None for problem in report.problems)
    tally = f"{passed} of {count} tests passed"
    if report.judge_problem is not None:
        return Verdict(Outcome.UNDECIDED, f"{tally}; {report.judge_problem}, which this judge cannot do")
    if report.load_problem is not None:
        return Verdict(Outcome.VIOLATED, f"the program does not load: {report.load_problem}")
    failed = next((i for i, problem in enumerate(report.problems) if problem is not None), None)
    if failed is not None:
        return Verdict(Outcome.VIOLATED, f"{tally}; test {failed + 1}: {report.problems[failed]}")
    if report.timed_out:
        return Verdict(Outcome.VIOLATED, f"{tally}; test {passed + 1}: no result after {timeout:g} seconds")
    if not report.complete or passed != count:
        return Verdict(Outcome.VIOLATED, f"{tally}; the program ended the test")
    return Verdict(Outcome.SATISFIED, f"all {count} tests passed" if count > 1 else "the test passed")
