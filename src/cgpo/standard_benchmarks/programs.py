"""Programs that a model wrote run in the sandbox: what the harness gets where it asks `evaluate` for `code_eval`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cgpo.errors import UserError
from cgpo.sandbox.sandbox import Sandbox, SandboxError, Tests

ATTEMPTS = 3
CONTAINED = ("mbpp", "humaneval")
"""Beginnings of the names of tasks whose programs all go through `code_eval`."""


class SandboxedPrograms:
    """The metric `code_eval`, except that no program runs in this process.

    Args:
        sandbox: in which the programs run.

    Attributes:
        undecided: programs of which the sandbox could not say whether they are right; they count as wrong.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.undecided = 0

    def compute(
        self, *, references: Sequence[str], predictions: Sequence[Sequence[str]], k: Sequence[int] = (1,)
    ) -> tuple[dict[str, float], list[list[bool]]]:
        """Runs programs against tests.

        Args:
            references: a text of tests for each problem.
            predictions: for each problem its programs.
            k: numbers of tries.

        Returns:
            `pass@k` for each `k` that every problem has programs enough for, over the problems; and who passed.
        """
        passed = [
            [self._passes(program, tests) for program in programs]
            for tests, programs in zip(references, predictions, strict=True)
        ]
        rates = {
            f"pass@{tries}": sum(_pass_at(len(row), sum(row), tries) for row in passed) / len(passed)
            for tries in k
            if all(len(row) >= tries for row in passed)
        }
        return rates, passed

    def _passes(self, program: str, tests: str) -> bool:
        for _ in range(ATTEMPTS):
            try:
                report = self._sandbox.run(program, Tests((tests,)))
            except SandboxError:
                continue
            if report.judge_problem is None:
                return report.complete and report.problems == (None,)
            break
        self.undecided += 1
        return False


def _pass_at(count: int, right: int, tries: int) -> float:
    """The chance that one of `tries` programs is right, drawn of `count` with some right ones (arXiv 2107.03374)."""
    missed = 1.0
    for number in range(count - right + 1, count + 1):
        missed *= 1 - tries / number
    return 1 - max(missed, 0.0)


@contextmanager
def programs_in_sandbox(sandbox: Sandbox) -> Iterator[SandboxedPrograms]:
    """Hands out the sandboxed metric wherever a task asks for `code_eval`, as long as this lasts."""
    import evaluate  # pyright: ignore[reportMissingImports]

    metric, own = SandboxedPrograms(sandbox), evaluate.load

    def load(path: str, *args: Any, **kwargs: Any) -> Any:
        return metric if path == "code_eval" else own(path, *args, **kwargs)

    evaluate.load = load
    try:
        yield metric
    finally:
        evaluate.load = own
        _forget(metric)


def require_contained(task: str) -> None:
    """Refuses a task that would run programs outside of the sandbox.

    Raises:
        UserError: naming the task.
    """
    if not task.startswith(CONTAINED):
        raise UserError(
            f"{task}: this task runs programs that the model wrote, in a way that the sandbox does not reach; "
            f"only {' and '.join(CONTAINED)} tasks are run in it"
        )


def _forget(metric: SandboxedPrograms) -> None:
    """Lets go of modules that keep the metric, so that a later call in the same process gets its own."""
    for name, module in list(sys.modules.items()):
        if name.startswith("lm_eval.tasks") and any(value is metric for value in vars(module).values()):
            del sys.modules[name]
