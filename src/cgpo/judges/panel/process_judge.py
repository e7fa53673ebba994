"""Runs judges in separate processes, since Python code that takes long would hold up the threads of this one."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Annotated, Any

import torch
from annotated_types import Ge

from cgpo.bounds import check_arguments
from cgpo.errors import UserError
from cgpo.judges.base import Judge, check_judge
from cgpo.judges.panel.background import in_background
from cgpo.types import Outcome, Prompt, Sample, Verdict


class ProcessJudge(Judge):
    """A judge that is made and asked in other processes, each of which gets a share of the samples.

    It is for judges that compute in Python: two threads of a process never run Python at the same time, so a rollout
    would wait while such a judge works. A judge that waits for a server or a process does not need it. In a
    configuration the judge is a class with its arguments, `{_target_: my_judges.Slow, _partial_: true, level: 3}`.

    A process starts at the first question (some seconds, some 200 MB) and ends with this one. A process that died is
    replaced, and the new one is asked again.

    Args:
        judge: makes the judge; a class, or a `functools.partial` of one.
        processes: how many processes there are.

    Raises:
        UserError: an argument is out of range, or the judge is no class, or cannot be sent to another process.
    """

    def __init__(self, judge: Callable[[], Judge], processes: Annotated[int, Ge(1)] = 1) -> None:
        check_arguments(ProcessJudge, locals())
        if not callable(judge):
            raise UserError("judge is to be made in another process: write _partial_: true beside its _target_")
        made: Any = judge.func if isinstance(judge, partial) else judge
        if made.__module__ == "__main__":
            raise UserError(f"judge {made.__name__} cannot be sent to another process: move it to a module of its own")
        try:
            recipe = pickle.dumps(judge)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"judge cannot be sent to another process: {error}") from error
        if not isinstance(made, type) or not issubclass(made, Judge):
            raise UserError(
                f"judge {made.__module__}.{made.__qualname__} is not the class of a judge; subclass cgpo.Judge"
            )
        self.cost, self.deterministic, self.version = made.cost, made.deterministic, made.version
        self._workers = [_Worker(recipe) for _ in range(processes)]

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Returns the judge's verdicts; what it raises is raised here."""
        parts = [list(samples[i :: len(self._workers)]) for i in range(len(self._workers))]
        asked = [(worker, part) for worker, part in zip(self._workers, parts, strict=True) if part]
        answers = [in_background("judge-process", partial(worker.ask, "judge", part)) for worker, part in asked]
        verdicts: list[Verdict | None] = [None] * len(samples)
        for i, answer in enumerate([answer.result() for answer in answers]):
            if isinstance(answer, _Interrupted):
                answer = [Verdict(Outcome.UNDECIDED, answer.reason)] * len(parts[i])
            if isinstance(answer, Exception):
                raise answer
            if len(answer) != len(parts[i]):
                raise ValueError(f"answered {len(answer)} verdicts on {len(parts[i])} samples")
            verdicts[i :: len(self._workers)] = answer
        return [verdict for verdict in verdicts if verdict is not None]

    @property
    def judging(self) -> list[Sample]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The shares of the processes that have not answered yet."""
        return [sample for worker in self._workers for sample in worker.judging]

    def interrupt(self, reason: str) -> None:
        """Kills the processes that have not answered yet, so that their shares are undecided."""
        for worker in self._workers:
            worker.interrupt(reason)

    def check_prompt(self, prompt: Prompt) -> None:
        """Asks the judge in its process whether it can read a row.

        Raises:
            UserError: naming the row.
        """
        answer = self._workers[0].ask("check_prompt", prompt)
        if isinstance(answer, Exception):
            raise answer

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()


@dataclass(frozen=True)
class _Interrupted:
    reason: str


class _Worker:
    """A process, which is asked by one thread at a time."""

    def __init__(self, recipe: bytes) -> None:
        self.judging: Sequence[Sample] = ()
        self._recipe = recipe
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._interrupted: _Interrupted | None = None
        self._turn = threading.Lock()
        self._lock = threading.Lock()

    def ask(self, method: str, argument: Any) -> Any:
        """Returns the answer, or the exception that was raised; a process that died by itself is replaced once."""
        with self._turn:
            with self._lock:
                self._interrupted = None
                self.judging = argument if method == "judge" else ()
            try:
                return self._answer((method, argument))
            finally:
                with self._lock:
                    self.judging = ()

    def interrupt(self, reason: str) -> None:
        """Kills the process if it is judging, which whoever waits for it notices."""
        with self._lock:
            if self.judging:
                self._interrupted = _Interrupted(reason)
                if (process := self._process) is not None:
                    process.kill()

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._pipe = self._process = None

    def _answer(self, question: tuple[str, Any]) -> Any:
        try:
            self._running().send(question)
        except (EOFError, OSError):
            self.close()  # it died since it was asked last; another one is asked
        for attempt in (1, 2):
            try:
                if self._pipe is None:
                    self._running().send(question)
                return self._running().recv()
            except (EOFError, OSError) as error:
                self.close()
                if self._interrupted is not None:
                    return self._interrupted
                if attempt == 2:
                    return RuntimeError(f"the judge's process died twice ({error or type(error).__name__})")
        raise AssertionError

    def _running(self) -> Connection:
        with self._lock:
            if self._interrupted is not None:
                raise EOFError
            if self._pipe is None:
                ours, theirs = socket.socketpair()
                with theirs:
                    self._process = subprocess.Popen(
                        [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                        stdin=subprocess.DEVNULL,
                        pass_fds=[theirs.fileno()],
                        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    )
                self._pipe = Connection(ours.detach())
                self._pipe.send_bytes(self._recipe)
            return self._pipe


def serve() -> None:
    """Makes a judge and answers questions until the other end is closed; the main function of a judge's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    torch.set_num_threads(1)
    pipe = Connection(int(sys.argv[1]))
    judge: Judge | None = None
    recipe = pipe.recv_bytes()
    while True:
        try:
            method, argument = pipe.recv()
        except EOFError:
            break
        try:
            judge = judge or check_judge("judge", pickle.loads(recipe)())
            with torch.no_grad():
                answer: Any = judge.judge(argument) if method == "judge" else judge.check_prompt(argument)
        except Exception as error:
            answer = error
        try:
            pipe.send(answer)
        except OSError:
            break
        except Exception as error:  # an answer that cannot be sent, such as an exception with a socket in it
            pipe.send(RuntimeError(f"{type(answer).__name__}: {answer} ({error})"))
    if judge is not None:
        judge.close()


_PROGRAM = f"from {serve.__module__} import {serve.__name__}; {serve.__name__}()"
"""The code that a judge's process runs."""
