"""Threads that nobody has to wait for: daemons, so that one that is stuck holds up neither the others nor the exit."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

T = TypeVar("T")
_Work = tuple[Future[Any], Callable[[], Any]]


def in_background(name: str, work: Callable[[], T]) -> Future[T]:
    """Does some work in a new thread.

    Args:
        name: of the thread.
        work: its result, or what it raises, is the future's.
    """
    future: Future[T] = Future()
    threading.Thread(target=_do, args=((future, _on_this_device(work)),), name=name, daemon=True).start()
    return future


class SerialThread:
    """Does one piece of work after another in a thread of its own, which starts with the first and ends with this.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._line: _Line | None = None

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Does some work after what was submitted before; of the future only the result counts."""
        future: Future[T] = Future()
        with self._lock:
            if self._line is None:
                self._start(())
            assert self._line is not None
            self._line.add((future, _on_this_device(work)))
        return future

    def leave(self, future: Future[Any]) -> None:
        """Goes on in a new thread where the old one is at this work, which that one may end or not."""
        with self._lock:
            if self._line is not None and (rest := self._line.left_at(future)) is not None:
                self._start(rest)

    def _start(self, rest: Iterable[_Work]) -> None:
        self._line = _Line(rest)
        # The thread knows its line alone, so that it ends when nobody can submit any more.
        weakref.finalize(self, self._line.end)
        threading.Thread(target=self._line.work_off, name=self._name, daemon=True).start()


class _Line:
    """The work that waits for one thread."""

    def __init__(self, waiting: Iterable[_Work]) -> None:
        self._waiting = deque(waiting)
        self._changed = threading.Condition()
        self._ended = False
        self._at: Future[Any] | None = None

    def add(self, work: _Work) -> None:
        with self._changed:
            self._waiting.append(work)
            self._changed.notify()

    def left_at(self, future: Future[Any]) -> list[_Work] | None:
        """Ends the line where its thread is at this work, and says what waits behind it."""
        with self._changed:
            if self._at is not future:
                return None
            rest = list(self._waiting)
            self._ended = True
            self._waiting.clear()
            return rest

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def work_off(self) -> None:
        while (work := self._next()) is not None:
            _do(work)
            del work

    def _next(self) -> _Work | None:
        with self._changed:
            self._at = None
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._ended:
                return None
            work = self._waiting.popleft()
            self._at = work[0]
            return work


def _on_this_device(work: Callable[[], T]) -> Callable[[], T]:
    """The work on the GPU that is current now: a new thread's is the machine's first."""
    if not torch.cuda.is_initialized():
        return work
    device = torch.cuda.current_device()

    def there() -> T:
        with torch.cuda.device(device):
            return work()

    return there


def _do(work: _Work) -> None:
    future, call = work
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
