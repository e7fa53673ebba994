"""Counting verdicts, row by row: what the summary needs, in a memory that does not grow with the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

from cgpo.judging.judgement import Judgement
from cgpo.judging.rows import Row
from cgpo.types import Outcome

DECIDED = (Outcome.VIOLATED, Outcome.SATISFIED)


class Ratings:
    """What one judge, or the whole panel, said of all rows.

    Attributes:
        outcomes: outcome → rows.
        labelled: (outcome, label) → rows that have a label.
        seconds: over all rows.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.labelled: Counter[tuple[Outcome, bool]] = Counter()
        self.seconds = 0.0

    def add(self, outcome: Outcome, label: bool | None, seconds: float) -> None:
        """Counts one row."""
        self.outcomes[outcome] += 1
        self.seconds += seconds
        if label is not None:
            self.labelled[outcome, label] += 1


class Tally:
    """The counts over all rows.

    Attributes:
        rows: how many there were.
        judges: by judge.
        panel: what the judges came to together; not applicable where none of them applied.
        pairs: two judges → (what the first said, what the second said) → rows that both decided.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.judges: dict[str, Ratings] = {}
        self.panel = Ratings()
        self.pairs: dict[tuple[str, str], Counter[tuple[Outcome, Outcome]]] = {}

    def add(self, judged: Iterable[tuple[Row, Judgement]]) -> None:
        """Counts rows."""
        for row, judgement in judged:
            self._add(judgement, row.label)

    def _add(self, judgement: Judgement, label: bool | None) -> None:
        self.rows += 1
        outcomes = {name: verdict.outcome for name, verdict in judgement.verdicts.items()}
        for name, outcome in outcomes.items():
            self.judges.setdefault(name, Ratings()).add(outcome, label, judgement.seconds[name])
        self.panel.add(_conclusion(judgement), label, sum(judgement.seconds.values()))
        for pair in combinations(outcomes, 2):
            counts = self.pairs.setdefault(pair, Counter())
            first, second = (outcomes[name] for name in pair)
            if first in DECIDED and second in DECIDED:
                counts[first, second] += 1


def _conclusion(judgement: Judgement) -> Outcome:
    if all(verdict.outcome is Outcome.NOT_APPLICABLE for verdict in judgement.verdicts.values()):
        return Outcome.NOT_APPLICABLE
    if judgement.satisfied is None:
        return Outcome.UNDECIDED
    return Outcome.SATISFIED if judgement.satisfied else Outcome.VIOLATED
