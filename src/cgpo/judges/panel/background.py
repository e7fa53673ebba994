"""Runs work in daemon threads, so that a stuck one holds up neither the others nor the end of the process."""

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
    """Runs some work in a new thread.

    Args:
        name: the thread's name.
        work: the work; its result, or what it raises, is the future's.
    """
    future: Future[T] = Future()
    threading.Thread(target=_run, args=((future, _on_current_device(work)),), name=name, daemon=True).start()
    return future


class SerialThread:
    """Runs one piece of work after another in its own thread, which starts with the first and ends with this object.

    Args:
        name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._queue: _Queue | None = None

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Runs some work after what was submitted before it; the future must not be cancelled."""
        future: Future[T] = Future()
        with self._lock:
            if self._queue is None:
                self._start(())
            assert self._queue is not None
            self._queue.add((future, _on_current_device(work)))
        return future

    def leave(self, future: Future[Any]) -> None:
        """Continues in a new thread if the old one is running this work, which it may or may not finish."""
        with self._lock:
            if self._queue is not None and (rest := self._queue.end_at(future)) is not None:
                self._start(rest)

    def _start(self, rest: Iterable[_Work]) -> None:
        self._queue = _Queue(rest)
        # The thread knows only its queue, so that it ends when nobody can submit any more.
        weakref.finalize(self, self._queue.end)
        threading.Thread(target=self._queue.run, name=self._name, daemon=True).start()


class _Queue:
    """The work that waits for one thread."""

    def __init__(self, waiting: Iterable[_Work]) -> None:
        self._waiting = deque(waiting)
        self._changed = threading.Condition()
        self._ended = False
        self._current: Future[Any] | None = None

    def add(self, work: _Work) -> None:
        with self._changed:
            self._waiting.append(work)
            self._changed.notify()

    def end_at(self, future: Future[Any]) -> list[_Work] | None:
        """Ends the queue if its thread is running this work, and returns what waits after it."""
        with self._changed:
            if self._current is not future:
                return None
            rest = list(self._waiting)
            self._ended = True
            self._waiting.clear()
            return rest

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def run(self) -> None:
        while (work := self._next()) is not None:
            _run(work)
            del work

    def _next(self) -> _Work | None:
        with self._changed:
            self._current = None
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._ended:
                return None
            work = self._waiting.popleft()
            self._current = work[0]
            return work


def _on_current_device(work: Callable[[], T]) -> Callable[[], T]:
    """Keeps the GPU that is current now, since a new thread begins with the machine's first one."""
    if not torch.cuda.is_initialized():
        return work
    device = torch.cuda.current_device()

    def on_device() -> T:
        with torch.cuda.device(device):
            return work()

    return on_device


def _run(work: _Work) -> None:
    future, call = work
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
