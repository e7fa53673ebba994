"""Win rates of a policy's responses against another model's, prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cgpo.evaluation.assessment import Assessment
from cgpo.evaluation.bootstrap import Numbers, Ratio, ratio
from cgpo.types import Outcome, Verdict

Texts = NDArray[np.object_]
REWARD, GOLD = "reward", "gold"
"""Criteria besides the names of judges."""
VERDICT_POINTS = {Outcome.SATISFIED: 1.0, Outcome.VIOLATED: 0.0}


def win_rates(own: Assessment, opponent: Assessment, criteria: Sequence[str]) -> dict[str, dict[str, Ratio | None]]:
    """Computes win rates, ties, and pairs that could not be compared.

    Every response is compared with every response of the opponent to the same prompt. The higher reward wins; by a
    judge, or by gold, a satisfied response beats a violated one. Equal responses tie, and so do equal rewards and equal
    verdicts. A tie counts half. A pair in which a response has no verdict, because the judge was undecided or does not
    apply, is left out and counted separately.

    Args:
        own: the policy's responses.
        opponent: the other model's responses to the same prompts.
        criteria: `reward`, `gold`, or names of judges.

    Returns:
        `win_rate`, `ties` and `uncompared`, each by criterion.
    """
    result: dict[str, dict[str, Ratio | None]] = {"win_rate": {}, "ties": {}, "uncompared": {}}
    for criterion in criteria:
        points = [_points(side, criterion) for side in (own, opponent)]
        rates = _rates(points[0], points[1], _texts(own), _texts(opponent))
        for name, number in zip(result, rates, strict=True):
            result[name][criterion] = number
    return result


def _points(side: Assessment, criterion: str) -> Numbers:
    """Returns the points of each response by a criterion, `[P, K]`; NaN for a response that was not judged."""
    if criterion == REWARD:
        values = side.reward.double().cpu().numpy()
    else:
        verdicts = side.gold if criterion == GOLD else {**side.verdicts.by_judge, **side.also}[criterion]
        assert verdicts is not None
        values = _verdict_points(verdicts)
    return values.reshape(len(side.rollout.prompts), -1)


def _verdict_points(verdicts: Sequence[Verdict]) -> Numbers:
    return np.array([VERDICT_POINTS.get(verdict.outcome, np.nan) for verdict in verdicts])


def _texts(side: Assessment) -> Texts:
    return np.array(side.rollout.responses, dtype=object).reshape(len(side.rollout.prompts), -1)


def _rates(own: Numbers, other: Numbers, own_texts: Texts, other_texts: Texts) -> tuple[Ratio, Ratio, Ratio]:
    gap = own[:, :, None] - other[:, None, :]
    compared = ~np.isnan(gap)
    # The rewards of one text may differ by rounding if it was scored in different batches.
    tied = compared & ((gap == 0) | (own_texts[:, :, None] == other_texts[:, None, :]))
    won = compared & ~tied & (gap > 0)

    def per_prompt(pairs: NDArray[np.bool_]) -> Numbers:
        return pairs.sum((1, 2)).astype(np.float64)

    whole = per_prompt(compared)
    return (
        ratio(per_prompt(won) + per_prompt(tied) / 2, whole),
        ratio(per_prompt(tied), whole),
        ratio(per_prompt(~compared), np.full(len(own), float(gap[0].size))),
    )
