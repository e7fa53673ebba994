"""The judge of code, which runs the response's program against the row's tests in a sandbox (section 4.1.4)."""

from __future__ import annotations

import queue
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, cast

from annotated_types import Ge, Gt

from cgpo.bounds import Unit, check_arguments
from cgpo.errors import UserError
from cgpo.judges.base import Cost, Judge
from cgpo.sandbox.isolation import BUBBLEWRAP
from cgpo.sandbox.sandbox import Report, Sandbox, SandboxError, Tests
from cgpo.types import Outcome, Prompt, Sample, Verdict

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)")
_SPACES = re.compile(r"[ \t]*")


@dataclass(frozen=True)
class Block:
    """A complete fenced block: its language tag in small letters (empty if it has none) and its code."""

    language: str
    code: str


def last_block(response: str, languages: Sequence[str] | None = None) -> str | None:
    """Returns the code of the last complete fenced block, or `None` if there is none.

    Args:
        response: the text.
        languages: the tags that count, in small letters; `""` stands for a block without a tag. `None` accepts all.
    """
    codes = [block.code for block in blocks(response) if languages is None or block.language in languages]
    return codes[-1] if codes else None


def blocks(response: str) -> Iterator[Block]:
    """Finds the complete blocks, in order.

    A block ends at a line that consists of a fence of the same kind and of at least the same length. The opening
    fence's indentation (a block in a list) is removed from every line.
    """
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in response.replace("\r\n", "\n").split("\n"):
        found = _FENCE.fullmatch(line)
        if opening is None:
            if found and not (found["fence"][0] == "`" and "`" in found["info"]):
                opening, lines = found, []
        elif found and not found["info"].strip() and found["fence"].startswith(opening["fence"]):
            words = opening["info"].split()
            yield Block(words[0].lower() if words else "", "".join(lines))
            opening = None
        else:
            spaces = _SPACES.match(line)
            indent = min(len(opening["indent"]), spaces.end() if spaces else 0)
            lines.append(line[indent:] + "\n")


def row_tests(prompt: Prompt) -> Tests | None:
    """Reads the row's tests; returns `None` if it has none.

    They are the first of these that the metadata contain: `unit_tests` (with `test_setup_code`), `test` with
    `entry_point` (and `code_prefix`), `inputs` with `outputs`.

    Raises:
        UserError: naming the row and the key that cannot be read.
    """
    metadata, where = prompt.metadata, f"row {prompt.key}: metadata"
    if metadata.get("unit_tests"):
        return Tests(_texts(metadata, "unit_tests", where), setup=_text(metadata, "test_setup_code", where))
    if metadata.get("test") and metadata.get("entry_point"):
        return Tests(
            (_text(metadata, "test", where),),
            entry_point=_text(metadata, "entry_point", where),
            prefix=_text(metadata, "code_prefix", where),
        )
    if metadata.get("inputs") or metadata.get("outputs"):
        inputs, outputs = (_texts(metadata, key, where) for key in ("inputs", "outputs"))
        if len(inputs) != len(outputs):
            raise UserError(f"{where} 'inputs' has {len(inputs)} texts, but 'outputs' {len(outputs)}")
        return Tests(outputs, inputs=inputs)
    return None


def _texts(metadata: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    given = metadata.get(key)
    texts = tuple(cast("Iterable[object]", given)) if isinstance(given, Iterable) else (None,)
    found = tuple(text for text in texts if isinstance(text, str))
    if isinstance(given, str) or len(found) < len(texts):
        kind = "lines of Python" if key == "unit_tests" else "texts"
        raise UserError(f"{where} {key!r} must be a list of {kind}")
    return found


def _text(metadata: Mapping[str, Any], key: str, where: str) -> str:
    text = metadata.get(key)
    if text is not None and not isinstance(text, str):
        raise UserError(f"{where} {key!r} must be a text, not {text!r}")
    return text or ""


_ATTEMPTS = 3


class CodeJudge(Judge):
    """Is satisfied if the last fenced block of the response passes every test of the row.

    The judge applies to rows whose metadata contain one of these, and uses the first:

    - `unit_tests`: lines such as `assert add(1, 2) == 3` (optional `test_setup_code`);
    - `test` and `entry_point`: `test` defines `check(candidate)` (optional `code_prefix`, the beginning of the program
      that the prompt shows);
    - `inputs` and `outputs`: lists of texts. The program is run as a script once for each input, which it reads from
      standard input. Its standard output must equal the text of `outputs`, except for white space at the ends of lines
      and empty lines at the end; numbers are compared as they are written. A script that ends with an exception or with
      another exit status than 0 fails the test.

    A response without a complete fenced block is violated, and so is a program that runs out of time or memory.

    Args:
        timeout: the wall-clock seconds that a program has for all its tests.
        memory_mb: the memory of a program, of all its processes together.
        workers: how many programs run at the same time.
        languages: the tags of the blocks that count, such as `[python, py, ""]`, where `""` is a block without a tag;
            `None` accepts any block.
        isolation: `bubblewrap`, or `none_i_accept_the_risk` to run programs that a model wrote without isolation.

    Raises:
        UserError: this machine cannot isolate programs; the message says what to install or to enable.
    """

    cost = Cost.SANDBOX

    def __init__(
        self,
        timeout: Annotated[float, Gt(0), Unit("seconds")] = 5.0,
        memory_mb: Annotated[int, Ge(64), Unit("MB")] = 512,
        workers: Annotated[int, Ge(1), Unit("programs")] = 2,
        languages: Sequence[str] | None = None,
        isolation: str = BUBBLEWRAP,
    ) -> None:
        check_arguments(CodeJudge, locals())
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
        """Returns one verdict per sample, undecided only if the sandbox failed three times or cannot run the tests."""
        self._given_up = None
        return list(self._threads.map(self._judge_one, samples))

    @property
    def judging(self) -> list[Sample]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The samples whose programs run now."""
        return list(self._running.values())

    def interrupt(self, reason: str) -> None:
        """Kills the running programs and starts no more in this call; samples without a verdict are undecided."""
        self._given_up = reason
        for sandbox in list(self._running):
            sandbox.interrupt()

    def check_prompt(self, prompt: Prompt) -> None:
        """Checks that the row's tests can be read, if it has any.

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
        """Runs the program, and runs it again if something from outside kills the sandbox."""
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
