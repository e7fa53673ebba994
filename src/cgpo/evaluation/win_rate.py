"""Win rates: a policy's responses against another model's, prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cgpo.evaluation.assessment import Assessment
from cgpo.evaluation.bootstrap import Numbers, Ratio, ratio
from cgpo.types import Outcome, Verdict

REWARD, GOLD = "reward", "gold"
"""Criteria beside the judges' names."""
POINTS = {Outcome.SATISFIED: 1.0, Outcome.VIOLATED: 0.0}


def comparisons(own: Assessment, opponent: Assessment, criteria: Sequence[str]) -> dict[str, dict[str, Ratio | None]]:
    """Win rate, ties and pairs that could not be compared, by criterion.

    Every response is compared with every response of the opponent to the same prompt. The higher reward wins; by a
    judge, or by gold, a satisfied response beats a violated one. Equal responses tie, as do equal rewards and equal
    verdicts. A tie counts half. A pair of which one has no verdict, for the judge was undecided or does not apply, is
    left out and counted apart.

    Args:
        own: the policy's responses.
        opponent: the other model's, to the same prompts.
        criteria: `reward`, `gold`, or names of judges.
    """
    result: dict[str, dict[str, Ratio | None]] = {"win_rate": {}, "ties": {}, "uncompared": {}}
    for criterion in criteria:
        points = [_points(side, criterion) for side in (own, opponent)]
        rates = _rates(points[0], points[1], _texts(own), _texts(opponent))
        for name, number in zip(result, rates, strict=True):
            result[name][criterion] = number
    return result


def _points(side: Assessment, criterion: str) -> Numbers:
    """`[P, K]` what each response is worth; NaN where nothing is said of it."""
    if criterion == REWARD:
        values = side.reward.double().cpu().numpy()
    else:
        verdicts = side.gold if criterion == GOLD else {**side.verdicts.by_judge, **side.also}[criterion]
        assert verdicts is not None
        values = _worth(verdicts)
    return values.reshape(len(side.rollout.prompts), -1)


def _worth(verdicts: Sequence[Verdict]) -> Numbers:
    return np.array([POINTS.get(verdict.outcome, np.nan) for verdict in verdicts])


def _texts(side: Assessment) -> np.ndarray:
    return np.array(side.rollout.responses, dtype=object).reshape(len(side.rollout.prompts), -1)


def _rates(own: Numbers, other: Numbers, own_texts: np.ndarray, other_texts: np.ndarray) -> tuple[Ratio, Ratio, Ratio]:
    gap = own[:, :, None] - other[:, None, :]
    compared = ~np.isnan(gap)
    # The same text may get rewards that differ by rounding, as it was scored in another batch.
    tied = compared & ((gap == 0) | (own_texts[:, :, None] == other_texts[:, None, :]))
    won = compared & ~tied & (gap > 0)

    def per_prompt(pairs: np.ndarray) -> Numbers:
        return pairs.sum((1, 2)).astype(np.float64)

    whole = per_prompt(compared)
    return (
        ratio(per_prompt(won) + per_prompt(tied) / 2, whole),
        ratio(per_prompt(tied), whole),
        ratio(per_prompt(~compared), np.full(len(own), float(gap[0].size))),
    )
