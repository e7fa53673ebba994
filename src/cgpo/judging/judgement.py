"""What the panel says of one row, as an object and as it stands in the file of verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from cgpo.protocols import JudgePanel
from cgpo.types import Outcome, Sample, Verdict

FIELDS = ("verdicts", "satisfied")
"""What is added to a row."""


@dataclass(frozen=True)
class Judgement:
    """The verdicts on one response.

    Attributes:
        verdicts: by judge.
        seconds: by judge: the row's share of the wall-clock seconds that the judge took over all rows of the call.
        satisfied: whether every applicable judge is satisfied; `None` where that is undecided.
    """

    verdicts: Mapping[str, Verdict]
    seconds: Mapping[str, float]
    satisfied: bool | None

    def record(self) -> dict[str, Any]:
        """The fields that are added to the row."""
        verdicts = {
            name: {"outcome": str(verdict.outcome), "reason": verdict.reason, "seconds": self.seconds[name]}
            for name, verdict in self.verdicts.items()
        }
        return {"verdicts": verdicts, "satisfied": self.satisfied}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The judgement of which these are the fields.

        Raises:
            ValueError: they are not the fields of a judgement.
        """
        try:
            verdicts, satisfied = record["verdicts"], record["satisfied"]
            if len(record) != len(FIELDS) or satisfied not in (True, False, None):
                raise ValueError
            return cls(
                {name: Verdict(Outcome(v["outcome"]), str(v["reason"])) for name, v in verdicts.items()},
                {name: float(v["seconds"]) for name, v in verdicts.items()},
                satisfied,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError("these are not the fields of a judgement") from error


def judge_samples(panel: JudgePanel, samples: Sequence[Sample]) -> list[Judgement]:
    """One judgement a sample, in order."""
    said = panel.judge(samples)
    shares = {name: round(seconds / max(len(samples), 1), 9) for name, seconds in said.seconds.items()}
    concluded = zip(said.satisfied.tolist(), said.decided.tolist(), strict=True)
    return [
        Judgement({name: verdicts[i] for name, verdicts in said.by_judge.items()}, shares, good if decided else None)
        for i, (good, decided) in enumerate(concluded)
    ]
