"""What a judge is asked at once, and what is known of it so far."""

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
        judge: its name.
        asked: how many samples it was asked about at once.
        began: when it came to them, as `time.monotonic` has it.
        samples: those that it is at: what it says itself (`judging`, see `cgpo.protocols.Judge`), else all that have
            no verdict yet.
        give_up: ends it for a reason, see `JudgeWorker.give_up`; does nothing where the batch is answered by now.
    """

    judge: str
    asked: int
    began: float
    samples: tuple[Sample, ...]
    give_up: Callable[[str], None]

    @property
    def keys(self) -> list[str]:
        """The rows of those samples, each once."""
        return list(dict.fromkeys(sample.prompt.key for sample in self.samples))


class HasActivity(Protocol):
    """Who can be at work."""

    def activity(self) -> JudgeActivity | None:
        """What it is at; `None` where it is at nothing."""
        ...


_lock = threading.Lock()
_everyone: WeakSet[HasActivity] = WeakSet()


def watch(one: HasActivity) -> None:
    """From now on `active_judges` asks this one too, for as long as somebody else holds it."""
    with _lock:
        _everyone.add(one)


def active_judges() -> list[JudgeActivity]:
    """What every judge of this process is at, the longest at work first."""
    with _lock:
        everyone = list(_everyone)
    found = [work for one in everyone if (work := one.activity()) is not None]
    return sorted(found, key=lambda work: work.began)


@dataclass(frozen=True)
class Answer:
    """What a judge said.

    Attributes:
        verdicts: one a sample.
        cached: for each whether it was known before; `None` where the judge has no cache.
        seconds: wall-clock.
    """

    verdicts: list[Verdict]
    cached: list[bool] | None
    seconds: float


class Batch:
    """Samples that a judge is asked about at once.

    Its answer comes from the judge's thread, or from whoever gives the batch up: the first counts.

    Attributes:
        samples: what is asked.
        digests: of their content; `None` where there is none.
        found: for each sample its verdict, as soon as it is known.
        cached: for each sample whether its verdict was known before; `None` without a cache.
        began: when the judge's thread came to it, as `time.monotonic` has it.
        given_up: why the judge is to end it.
        answer: what the judge said, in the end.
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
        """The judge's thread has come to it."""
        self.began = time.monotonic()

    def fill(self, places: Sequence[int], verdicts: Sequence[Verdict]) -> None:
        """Takes down the verdicts on some of the samples."""
        for place, verdict in zip(places, verdicts, strict=True):
            self.found[place] = verdict

    @property
    def open(self) -> list[int]:
        """Which samples have no verdict yet."""
        return [i for i, verdict in enumerate(self.found) if verdict is None]

    def finish(self) -> bool:
        """Answers with what was found; what was not is undecided. Says whether there was no answer before."""
        undecided = Verdict(Outcome.UNDECIDED, self.given_up or "not judged")
        seconds = 0.0 if self.began is None else time.monotonic() - self.began
        verdicts = [verdict or undecided for verdict in self.found]
        with self._lock:
            if first := not self.answer.done():
                self.answer.set_result(Answer(verdicts, self.cached, seconds))
        return first

    def fail(self, error: BaseException) -> None:
        """Answers with an exception, where there is no answer yet."""
        with self._lock:
            if not self.answer.done():
                self.answer.set_exception(error)

    def cancel(self) -> None:
        """Ends the waiting of whoever waits for an answer: there will be none."""
        with self._lock:
            self.answer.cancel()
