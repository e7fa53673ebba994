"""Judges that stand still, and what can be seen of them."""

import threading
from collections.abc import Callable, Sequence

from tests.processes import until

from cgpo.judges.base import Cost, Judge
from cgpo.judges.panel.batch import JudgeActivity, active_judges
from cgpo.types import Outcome, Sample, Verdict


def activity(judge: str, when: Callable[[JudgeActivity], bool] = lambda work: True) -> JudgeActivity:
    def look() -> JudgeActivity | None:
        return next((work for work in active_judges() if work.judge == judge and when(work)), None)

    return until(look)


class Sleeps(Judge):
    """Satisfied, but for the response `sleep`, at which it stays until it is released."""

    cost: Cost = Cost.RULES

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: list[str] = []
        self.threads: list[str] = []

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.asked += [sample.response for sample in samples]
        if any(sample.response == "sleep" for sample in samples):
            self.release.wait()
        self.threads.append(threading.current_thread().name)
        return [Verdict(Outcome.SATISFIED, "awake") for _ in samples]


class Stoppable(Sleeps):
    """Judges one by one; interrupted it answers what it has, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.judging: list[Sample] = []
        self.error = error
        self.reason = ""

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for sample in samples:
            self.judging = [sample]
            if sample.response == "sleep":
                self.release.wait()
                if self.error is not None:
                    raise self.error
                break
            verdicts.append(Verdict(Outcome.VIOLATED, "long"))
        return verdicts + [Verdict(Outcome.UNDECIDED, self.reason)] * (len(samples) - len(verdicts))

    def interrupt(self, reason: str) -> None:
        self.reason = reason
        self.release.set()
