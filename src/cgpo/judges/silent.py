"""A panel that is never asked: where another process speaks for this one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import torch

from cgpo.types import Outcome, Sample, Verdict, Verdicts


class Silent:
    """Says nothing of any sample; tensor-parallel peers have the same samples, and only the first has them judged.

    Args:
        names: of the judges that it stands for.
        cached: those of them whose verdicts are kept, so that metrics have the same names everywhere.
    """

    def __init__(self, names: Sequence[str], cached: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self.cached = tuple(cached)

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """No judge was asked."""
        nothing = (Verdict(Outcome.NOT_ASKED, "another process asks"),) * len(samples)
        all_of_them = torch.ones(len(samples), dtype=torch.bool)
        by_judge, seconds = dict.fromkeys(self.names, nothing), dict.fromkeys(self.names, 0.0)
        return Verdicts(by_judge, all_of_them, all_of_them, seconds, dict.fromkeys(self.cached, 0))

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """The same, at once."""
        answered: Future[Verdicts] = Future()
        answered.set_result(self.judge(samples))
        return answered
