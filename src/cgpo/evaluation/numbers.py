"""The numbers of an evaluation, each a ratio of two sums over prompts, so that it can be resampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from cgpo.evaluation.assessment import Assessment
from cgpo.evaluation.bootstrap import Numbers, Ratio, Resamples, difference, estimate, ratio
from cgpo.evaluation.win_rate import win_rates
from cgpo.statistics import Estimate, pass_at_k
from cgpo.types import Outcome, Verdict

NumberTree = Mapping[str, Any]
"""From names to ratios, to trees of ratios, or to `None` for a number that does not exist."""


def evaluation_numbers(
    found: Assessment,
    pass_at: Sequence[int] = (),
    opponent: Assessment | None = None,
    win_by: Sequence[str] = (),
) -> NumberTree:
    """All that an evaluation reports of a task's responses in one mode; `docs/guide/evaluate.md` says what each means.

    Args:
        found: the responses.
        pass_at: each `k` of pass@k.
        opponent: responses of another model to the same prompts, for win rates.
        win_by: what decides who wins, see `cgpo.evaluation.win_rate.comparisons`.
    """
    rollout = found.rollout
    prompts = len(rollout.prompts)

    def mean(values: Tensor, share: bool = False) -> Ratio:
        table = values.detach().double().cpu().numpy().reshape(prompts, -1)
        return ratio(table.sum(1), np.full(prompts, float(table.shape[1])), share)

    def rate(verdicts: Sequence[Verdict], counted: Outcome, among: Sequence[Outcome]) -> Ratio:
        return ratio(count_outcomes(verdicts, [counted], prompts), count_outcomes(verdicts, among, prompts))

    by_judge = {**found.verdicts.by_judge, **found.also}
    asked = {**by_judge, **({} if found.gold is None else {"gold": found.gold})}
    decided = found.verdicts.decided
    success = None if found.gold is None else rate(found.gold, Outcome.SATISFIED, DECIDED)
    passes = (
        {} if success is None else {str(k): mean_pass_at_k(success.denominator, success.numerator, k) for k in pass_at}
    )
    tree: dict[str, Any] = {
        "success": success,
        "pass_at": passes,
        "reward": mean(found.reward),
        "kl": None if found.log_ratio is None else mean(found.log_ratio),
        "length": mean(rollout.response_mask.sum(-1)),
        "finished": mean(rollout.finished, share=True),
        "satisfied": Ratio(mean(found.verdicts.satisfied & decided).numerator, mean(decided).numerator),
        "violation_rate": {name: rate(given, Outcome.VIOLATED, DECIDED) for name, given in by_judge.items()},
        **{
            outcome.value: {name: rate(given, outcome, tuple(Outcome)) for name, given in asked.items()}
            for outcome in (Outcome.UNDECIDED, Outcome.NOT_APPLICABLE, Outcome.NOT_ASKED)
        },
        "measures": {name: mean(values) for name, values in found.measures.items()},
    }
    return {**tree, **(win_rates(found, opponent, win_by) if opponent is not None else {})}


DECIDED = (Outcome.SATISFIED, Outcome.VIOLATED)


def count_outcomes(verdicts: Sequence[Verdict], outcomes: Sequence[Outcome], prompts: int) -> Numbers:
    """Counts for each prompt the verdicts with one of some outcomes, `[P]`."""
    hits = np.array([float(verdict.outcome in outcomes) for verdict in verdicts])
    return hits.reshape(prompts, -1).sum(1)


def mean_pass_at_k(decided: Numbers, right: Numbers, k: int) -> Ratio:
    """Averages pass@k over prompts; a prompt with fewer than `k` decided responses does not count.

    Args:
        decided: `[P]`, the number of responses to each prompt that were found right or wrong.
        right: `[P]`, the number of those that were found right.
        k: at least 1.
    """
    pairs = [(int(n), int(c)) for n, c in zip(decided, right, strict=True)]
    return ratio(
        [pass_at_k(n, c, k) if n >= k else 0.0 for n, c in pairs],
        [float(n >= k) for n, _ in pairs],
    )


def estimates(tree: NumberTree, resamples: Resamples) -> dict[str, Any]:
    """Estimates each number of a tree, as `{value, low, high}` or `None`."""
    return _map_trees(lambda numbers: estimate(numbers[0], resamples), tree)


def differences(first: NumberTree, second: NumberTree, resamples: Resamples) -> dict[str, Any]:
    """Estimates second minus first for each number, as `{value, low, high}` or `None` if one of them is missing."""
    return _map_trees(lambda numbers: difference(numbers[0], numbers[1], resamples), first, second)


def _map_trees(compute: Callable[[Sequence[Ratio]], Estimate | None], *trees: NumberTree) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in trees[0]:
        values = [tree[name] for tree in trees]
        if any(value is None for value in values):
            result[name] = None
        elif isinstance(values[0], Ratio):
            found = compute(values)
            result[name] = None if found is None else asdict(found)
        else:
            result[name] = _map_trees(compute, *values)
    return result
