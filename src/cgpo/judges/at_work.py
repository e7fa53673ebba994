"""What the judges of this process are at, for whoever waits too long for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from cgpo.types import Sample


@dataclass(frozen=True)
class AtWork:
    """A judge in the middle of a batch.

    Attributes:
        judge: its name.
        asked: how many samples it was asked about at once.
        began: when it came to them, as `time.monotonic` has it.
        samples: those that it is at: what it says itself (`judging`, see `cgpo.protocols.Judge`), else all that have
            no verdict yet.
        give_up: ends it for a reason, see `Member.give_up`; does nothing where the batch is answered by now.
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


class Works(Protocol):
    """Who can be at work."""

    def at_work(self) -> AtWork | None:
        """What it is at; `None` where it is at nothing."""
        ...


_lock = threading.Lock()
_everyone: WeakSet[Works] = WeakSet()


def watch(one: Works) -> None:
    """From now on `judges_at_work` asks this one too, for as long as somebody else holds it."""
    with _lock:
        _everyone.add(one)


def judges_at_work() -> list[AtWork]:
    """What every judge of this process is at, the longest at work first."""
    with _lock:
        everyone = list(_everyone)
    found = [work for one in everyone if (work := one.at_work()) is not None]
    return sorted(found, key=lambda work: work.began)
