"""The code judge: the response's program, run against the row's tests in a sandbox (section 4.1.4)."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cgpo.errors import UserError
from cgpo.judges.fenced import last_block
from cgpo.judges.isolation import BUBBLEWRAP
from cgpo.judges.row_tests import row_tests
from cgpo.judges.sandbox import Report, Sandbox, SandboxError, Tests
from cgpo.protocols import Cost
from cgpo.types import Outcome, Prompt, Sample, Verdict

_ATTEMPTS = 3


class CodeJudge:
    """Satisfied where the last fenced block of the response passes every test of the row.

    Applies to rows whose metadata have one of these, and takes the first:

    - `unit_tests`: lines such as `assert add(1, 2) == 3` (optional `test_setup_code`);
    - `test` and `entry_point`: `test` defines `check(candidate)` (optional `code_prefix`, the beginning of the program
      that the prompt shows);
    - `inputs` and `outputs`: lists of texts. The program is run as a script once for each input, which it reads from
      standard input. Its standard output must be the text of `outputs`, white space at the ends of lines and empty
      lines at the end aside; nothing else is forgiven, numbers are compared as they are written. A script that ends in
      an exception or with another exit status than 0 fails the test.

    A response without a complete fenced block is violated, and so is a program that runs out of time or memory.

    Args:
        timeout: wall-clock seconds a program has for all its tests.
        memory_mb: memory of a program, all its processes together.
        workers: programs that run at the same time.
        languages: the tags of the blocks that count, such as `[python, py, ""]`, where `""` is a block without a tag;
            `None` takes any block.
        isolation: `bubblewrap`, or `none_i_accept_the_risk` to run programs that a model wrote without it.

    Raises:
        UserError: this machine cannot isolate programs; the message says what to install or to enable.
    """

    cost = Cost.SANDBOX

    def __init__(
        self,
        timeout: float = 5.0,
        memory_mb: int = 512,
        workers: int = 2,
        languages: Sequence[str] | None = None,
        isolation: str = BUBBLEWRAP,
    ) -> None:
        if timeout <= 0 or memory_mb < 64 or workers < 1:
            raise UserError(f"code judge: timeout {timeout}, memory_mb {memory_mb} (at least 64), workers {workers}")
        if isinstance(languages, str):
            raise UserError(f"code judge: languages must be a list such as [python, py], not {languages!r}")
        self._languages = None if languages is None else [language.lower() for language in languages]
        self._idle: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._sandboxes = [Sandbox(timeout, memory_mb, isolation=isolation) for _ in range(workers)]
        for sandbox in self._sandboxes:
            self._idle.put(sandbox)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="code-judge")
        self._running: dict[Sandbox, Sample] = {}
        self._given_up: str | None = None
        self._timeout = timeout
        self._memory_mb = memory_mb

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """One verdict a sample; undecided only where the sandbox failed thrice, or cannot run the row's tests."""
        self._given_up = None
        return list(self._threads.map(self._judge_one, samples))

    @property
    def judging(self) -> list[Sample]:
        """The samples whose programs run now."""
        return list(self._running.values())

    def interrupt(self, reason: str) -> None:
        """Kills the programs that run, and starts no more of this call: the samples without a verdict are undecided."""
        self._given_up = reason
        for sandbox in list(self._running):
            sandbox.interrupt()

    def check_prompt(self, prompt: Prompt) -> None:
        """Asserts that the row's tests can be read, if it has any.

        Raises:
            UserError: naming the row.
        """
        row_tests(prompt)

    def close(self) -> None:
        """Ends the sandboxes."""
        self._threads.shutdown()
        for sandbox in self._sandboxes:
            sandbox.close()

    def _judge_one(self, sample: Sample) -> Verdict:
        tests = row_tests(sample.prompt)
        if tests is None:
            return Verdict(Outcome.NOT_APPLICABLE, "the row has no unit tests")
        code = last_block(sample.response, self._languages)
        if code is None:
            tagged = "" if self._languages is None else f" tagged {' or '.join(map(repr, self._languages))}"
            return Verdict(Outcome.VIOLATED, f"no complete fenced code block{tagged}")
        if self._given_up is not None:
            return Verdict(Outcome.UNDECIDED, self._given_up)
        sandbox = self._idle.get()
        self._running[sandbox] = sample
        try:
            report = self._run(sandbox, code, tests)
        except SandboxError as error:
            return Verdict(Outcome.UNDECIDED, self._given_up or str(error))
        finally:
            del self._running[sandbox]
            self._idle.put(sandbox)
        return self._verdict(report, len(tests.sources))

    def _run(self, sandbox: Sandbox, program: str, tests: Tests) -> Report:
        """Runs the program; again where the sandbox dies of something from outside."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return sandbox.run(program, tests)
            except SandboxError:
                if self._given_up is not None:
                    raise
        return sandbox.run(program, tests)

    def _verdict(self, report: Report, count: int) -> Verdict:
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
            late = f"no result after {self._timeout:g} seconds"
            return Verdict(Outcome.VIOLATED, f"{tally}; test {passed + 1}: {late}")
        if report.out_of_memory:
            return Verdict(Outcome.VIOLATED, f"{tally}; test {passed + 1}: more than {self._memory_mb} MB of memory")
        if not report.complete or passed != count:
            return Verdict(Outcome.VIOLATED, f"{tally}; the program ended the test")
        return Verdict(Outcome.SATISFIED, f"all {count} tests passed" if count > 1 else "the test passed")
