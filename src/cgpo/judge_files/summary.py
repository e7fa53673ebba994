"""The summary of the verdicts on a file: the numbers of `<output>.summary.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

from cgpo.judge_files.rows import ResponseRow, RowVerdicts
from cgpo.statistics import Estimate, f1, kappa, proportion
from cgpo.types import Outcome

DECIDED = (Outcome.VIOLATED, Outcome.SATISFIED)


class OutcomeCounts:
    """How often one judge, or the whole panel, gave each outcome.

    Attributes:
        outcomes: outcome → number of rows.
        labelled: (outcome, label) → number of rows with a label.
        seconds: the time over all rows.
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


class VerdictCounts:
    """The counts over all rows.

    Attributes:
        rows: the number of rows.
        judges: the counts of each judge.
        panel: the counts of the judges together; a row to which none of them applies is not applicable.
        pairs: two judges → (outcome of the first, outcome of the second) → number of rows that both decided.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.judges: dict[str, OutcomeCounts] = {}
        self.panel = OutcomeCounts()
        self.pairs: dict[tuple[str, str], Counter[tuple[Outcome, Outcome]]] = {}

    def add(self, judged: Iterable[tuple[ResponseRow, RowVerdicts]]) -> None:
        """Counts rows."""
        for row, verdicts in judged:
            self._add(verdicts, row.label)

    def _add(self, found: RowVerdicts, label: bool | None) -> None:
        self.rows += 1
        outcomes = {name: verdict.outcome for name, verdict in found.verdicts.items()}
        for name, outcome in outcomes.items():
            self.judges.setdefault(name, OutcomeCounts()).add(outcome, label, found.seconds[name])
        self.panel.add(_panel_outcome(found), label, sum(found.seconds.values()))
        for pair in combinations(outcomes, 2):
            counts = self.pairs.setdefault(pair, Counter())
            first, second = (outcomes[name] for name in pair)
            if first in DECIDED and second in DECIDED:
                counts[first, second] += 1


def _panel_outcome(found: RowVerdicts) -> Outcome:
    if all(verdict.outcome is Outcome.NOT_APPLICABLE for verdict in found.verdicts.values()):
        return Outcome.NOT_APPLICABLE
    if found.satisfied is None:
        return Outcome.UNDECIDED
    return Outcome.SATISFIED if found.satisfied else Outcome.VIOLATED


SATISFIED, VIOLATED = Outcome.SATISFIED, Outcome.VIOLATED


def summarise(counts: VerdictCounts, **facts: Any) -> dict[str, Any]:
    """Makes the summary of all rows, ready for JSON.

    Estimates are objects with `value`, `low` and `high` (95 %), or null where they are undefined. The positive class
    is `violated`: a judge is a detector of violations.

    Args:
        counts: the counts of at least one row.
        **facts: further entries of the summary.
    """
    summary: dict[str, Any] = {
        "rows": counts.rows,
        "judges": {name: _ratings(ratings, counts.rows) for name, ratings in counts.judges.items()},
    }
    if len(counts.judges) > 1:
        summary["panel"] = _ratings(counts.panel, counts.rows)
        summary["agreement"] = [{"judges": list(pair), **_agreement(counts)} for pair, counts in counts.pairs.items()]
    return {**summary, **facts}


def _ratings(ratings: OutcomeCounts, rows: int) -> dict[str, Any]:
    outcomes = ratings.outcomes
    found = {
        "outcomes": {
            str(outcome): {"rows": outcomes[outcome], "rate": outcomes[outcome] / rows} for outcome in Outcome
        },
        "seconds": ratings.seconds,
        "seconds_per_row": ratings.seconds / rows,
    }
    if ratings.labelled:
        found["against_labels"] = _against_labels(ratings)
    return found


def _against_labels(ratings: OutcomeCounts) -> dict[str, Any]:
    """Compares with the labels of rows; rows that were not decided are counted separately."""
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
        "accuracy": _as_dict(proportion(hits + passes, hits + false_alarms + misses + passes)),
        "precision": _as_dict(proportion(hits, hits + false_alarms)),
        "recall": _as_dict(proportion(hits, hits + misses)),
        "f1": _as_dict(f1(hits, false_alarms, misses)),
        "kappa": _as_dict(kappa(hits, false_alarms, misses, passes)),
    }


def _agreement(counts: Mapping[tuple[Outcome, Outcome], int]) -> dict[str, Any]:
    both, first = counts.get((VIOLATED, VIOLATED), 0), counts.get((VIOLATED, SATISFIED), 0)
    second, neither = counts.get((SATISFIED, VIOLATED), 0), counts.get((SATISFIED, SATISFIED), 0)
    rows = both + first + second + neither
    return {
        "rows": rows,
        "agreement": _as_dict(proportion(both + neither, rows)),
        "kappa": _as_dict(kappa(both, first, second, neither)),
    }


def _as_dict(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else asdict(estimate)
