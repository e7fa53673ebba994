"""Runs programs that a model wrote in the sandbox: stands in for the metric `code_eval` of the library `evaluate`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from cgpo.errors import UserError
from cgpo.sandbox.sandbox import Sandbox, SandboxError, Tests
from cgpo.statistics import pass_at_k

ATTEMPTS = 3
"""Runs of a program whose sandbox fails."""
CONTAINED = ("mbpp", "humaneval")
"""Prefixes of the tasks whose programs all go through `code_eval`."""


class SandboxedPrograms:
    """The metric `code_eval`, except that programs run in a sandbox instead of this process.

    Args:
        sandbox: the sandbox.

    Attributes:
        undecided: the number of programs that the sandbox could not decide on; they count as wrong.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.undecided = 0

    def compute(
        self, *, references: Sequence[str], predictions: Sequence[Sequence[str]], k: Sequence[int] = (1,)
    ) -> tuple[dict[str, float], list[list[bool]]]:
        """Runs programs against tests.

        Args:
            references: the tests of each problem, as one text.
            predictions: the programs of each problem.
            k: the numbers of tries.

        Returns:
            `pass@k`, averaged over the problems, for each `k` for which every problem has enough programs; and for
            each problem which programs passed.
        """
        passed = [
            [self._passes(program, tests) for program in programs]
            for tests, programs in zip(references, predictions, strict=True)
        ]
        rates = {
            f"pass@{tries}": sum(pass_at_k(len(row), sum(row), tries) for row in passed) / len(passed)
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


@contextmanager
def programs_in_sandbox(sandbox: Sandbox) -> Generator[SandboxedPrograms]:
    """Replaces `code_eval` by the sandboxed metric for the length of a block."""
    evaluate: Any = importlib.import_module("evaluate")
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
    """Checks that a task's programs all run in the sandbox.

    Raises:
        UserError: they do not.
    """
    if not task.startswith(CONTAINED):
        raise UserError(
            f"{task}: this task runs programs that the model wrote, in a way that the sandbox does not reach; "
            f"only {' and '.join(CONTAINED)} tasks are run in it"
        )


def _forget(metric: SandboxedPrograms) -> None:
    """Unloads the modules that keep the metric, so that a later call in the same process gets a new one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("lm_eval.tasks") and any(value is metric for value in vars(module).values()):
            del sys.modules[name]
