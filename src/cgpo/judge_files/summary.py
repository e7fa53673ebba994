"""What the verdicts on a file come to: the numbers of `<output>.summary.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

from cgpo.judge_files.rows import Judgement, Row
from cgpo.statistics import Estimate, f1, kappa, proportion
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


SATISFIED, VIOLATED = Outcome.SATISFIED, Outcome.VIOLATED


def summarise(tally: Tally, **facts: Any) -> dict[str, Any]:
    """The summary of all rows, ready for JSON.

    Estimates are objects of `value`, `low` and `high` (95 %), or null where they are not defined. The positive class
    is `violated`: a judge is a detector of violations.

    Args:
        tally: the counts, of at least one row.
        **facts: further entries, kept as they are.
    """
    summary: dict[str, Any] = {
        "rows": tally.rows,
        "judges": {name: _ratings(ratings, tally.rows) for name, ratings in tally.judges.items()},
    }
    if len(tally.judges) > 1:
        summary["panel"] = _ratings(tally.panel, tally.rows)
        summary["agreement"] = [{"judges": list(pair), **_agreement(counts)} for pair, counts in tally.pairs.items()]
    return {**summary, **facts}


def _ratings(ratings: Ratings, rows: int) -> dict[str, Any]:
    counts = ratings.outcomes
    found = {
        "outcomes": {str(outcome): {"rows": counts[outcome], "rate": counts[outcome] / rows} for outcome in Outcome},
        "seconds": ratings.seconds,
        "seconds_per_row": ratings.seconds / rows,
    }
    if ratings.labelled:
        found["against_labels"] = _against_labels(ratings)
    return found


def _against_labels(ratings: Ratings) -> dict[str, Any]:
    """Only rows that have a label and were decided count as right or wrong; the others are counted apart."""
    counts = ratings.labelled
    hits, false_alarms = counts[VIOLATED, False], counts[VIOLATED, True]
    misses, passes = counts[SATISFIED, False], counts[SATISFIED, True]
    return {
        "positive": str(VIOLATED),
        "rows": hits + false_alarms + misses + passes,
        **{str(o): counts[o, True] + counts[o, False] for o in Outcome if o not in DECIDED},
        "true_positives": hits,
        "false_positives": false_alarms,
        "false_negatives": misses,
        "true_negatives": passes,
        "accuracy": _plain(proportion(hits + passes, hits + false_alarms + misses + passes)),
        "precision": _plain(proportion(hits, hits + false_alarms)),
        "recall": _plain(proportion(hits, hits + misses)),
        "f1": _plain(f1(hits, false_alarms, misses)),
        "kappa": _plain(kappa(hits, false_alarms, misses, passes)),
    }


def _agreement(counts: Mapping[tuple[Outcome, Outcome], int]) -> dict[str, Any]:
    both, first = counts.get((VIOLATED, VIOLATED), 0), counts.get((VIOLATED, SATISFIED), 0)
    second, neither = counts.get((SATISFIED, VIOLATED), 0), counts.get((SATISFIED, SATISFIED), 0)
    rows = both + first + second + neither
    return {
        "rows": rows,
        "agreement": _plain(proportion(both + neither, rows)),
        "kappa": _plain(kappa(both, first, second, neither)),
    }


def _plain(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else asdict(estimate)
