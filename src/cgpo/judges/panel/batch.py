"""The samples that a judge is asked about at once, with the verdicts found so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from cgpo.types import Outcome, Sample, Verdict


@dataclass(frozen=True)
class JudgeActivity:
    """A judge in the middle of a batch.

    Attributes:
        judge: the judge's name.
        asked: how many samples it was asked about at once.
        began: when it began with them, by `time.monotonic`.
        samples: those that it is judging now: as it says itself (`Judge.judging`), or else all without a verdict.
        give_up: ends the batch for a reason, see `JudgeWorker.give_up`; does nothing if the batch is answered by then.
    """

    judge: str
    asked: int
    began: float
    samples: tuple[Sample, ...]
    give_up: Callable[[str], None]

    @property
    def keys(self) -> list[str]:
        """The keys of those samples' rows, each once."""
        return list(dict.fromkeys(sample.prompt.key for sample in self.samples))


class HasActivity(Protocol):
    """Something that can be at work."""

    def activity(self) -> JudgeActivity | None:
        """Returns what it is doing, or `None` if it is idle."""
        ...


_lock = threading.Lock()
_workers: WeakSet[HasActivity] = WeakSet()


def watch(worker: HasActivity) -> None:
    """Makes `active_judges` ask this one too, for as long as it is referenced elsewhere."""
    with _lock:
        _workers.add(worker)


def active_judges() -> list[JudgeActivity]:
    """Returns what every judge of this process is doing, the longest at work first."""
    with _lock:
        workers = list(_workers)
    found = [work for worker in workers if (work := worker.activity()) is not None]
    return sorted(found, key=lambda work: work.began)


@dataclass(frozen=True)
class Answer:
    """A judge's verdicts on some samples.

    Attributes:
        verdicts: one per sample.
        cached: for each sample whether its verdict was known before; `None` if the judge has no cache.
        seconds: the wall-clock seconds that the judge took.
    """

    verdicts: list[Verdict]
    cached: list[bool] | None
    seconds: float


class Batch:
    """Samples that a judge is asked about at once.

    The answer comes from the judge's thread, or from whoever gives the batch up; the first one counts.

    Attributes:
        samples: what the judge is asked about.
        digests: the digest of each sample's content; `None` if it has none.
        found: for each sample its verdict, as soon as it is known.
        cached: for each sample whether its verdict was known before; `None` without a cache.
        began: when the judge's thread began with the batch, by `time.monotonic`.
        given_up: why the judge is to end it, if it is.
        answer: the judge's answer, in the end.
    """

    def __init__(self, samples: Sequence[Sample], digests: Sequence[bytes | None]) -> None:
        self.samples = samples
        self.digests = digests
        self.found: list[Verdict | None] = [None] * len(samples)
        self.cached: list[bool] | None = None
        self.began: float | None = None
        self.given_up: str | None = None
        self.answer: Future[Answer] = Future()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Notes that the judge's thread begins with the batch."""
        self.began = time.monotonic()

    def fill(self, places: Sequence[int], verdicts: Sequence[Verdict]) -> None:
        """Stores the verdicts on some of the samples, by their indices."""
        for place, verdict in zip(places, verdicts, strict=True):
            self.found[place] = verdict

    @property
    def open(self) -> list[int]:
        """The indices of the samples that have no verdict yet."""
        return [i for i, verdict in enumerate(self.found) if verdict is None]

    def finish(self) -> bool:
        """Answers with the verdicts found, undecided for the rest; returns whether there was no answer before."""
        undecided = Verdict(Outcome.UNDECIDED, self.given_up or "not judged")
        seconds = 0.0 if self.began is None else time.monotonic() - self.began
        verdicts = [verdict or undecided for verdict in self.found]
        with self._lock:
            if first := not self.answer.done():
                self.answer.set_result(Answer(verdicts, self.cached, seconds))
        return first

    def fail(self, error: BaseException) -> None:
        """Answers with an exception, if there is no answer yet."""
        with self._lock:
            if not self.answer.done():
                self.answer.set_exception(error)

    def cancel(self) -> None:
        """Releases whoever waits for an answer, for there will be none."""
        with self._lock:
            self.answer.cancel()
