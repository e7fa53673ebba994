"""Judges that take a known time for a batch, in a module of their own so that another process can import them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cgpo.judges.base import Judge
from cgpo.types import Outcome, Sample, Verdict

SECONDS = 0.3
"""What a judge takes for a batch."""


class Waits(Judge):
    """A judge that waits, as for an endpoint."""

    deterministic = False

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Satisfied by everything."""
        time.sleep(SECONDS)
        return [Verdict(Outcome.SATISFIED, "")] * len(samples)


class Computes(Judge):
    """A judge that counts in Python, so far that it takes `SECONDS` where nothing else runs."""

    deterministic = False

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Satisfied by everything."""
        count(self.rounds)
        return [Verdict(Outcome.SATISFIED, "")] * len(samples)


def count(rounds: int) -> int:
    """Keeps Python busy."""
    total = 0
    for i in range(rounds):
        total += i % 7
    return total
