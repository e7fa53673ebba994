"""What the verdicts on a file come to: the numbers of `<output>.summary.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cgpo.judging.tally import DECIDED, Ratings, Tally
from cgpo.statistics import Estimate, f1, kappa, proportion
from cgpo.types import Outcome

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
