"""From responses to numbers: each is a ratio of two sums over prompts, so that it can be resampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from cgpo.evaluation.assessment import Assessment
from cgpo.evaluation.bootstrap import Numbers, Ratio, Resampling, difference, estimate, ratio
from cgpo.evaluation.win_rate import comparisons
from cgpo.statistics import Estimate
from cgpo.types import Outcome, Verdict

Tree = Mapping[str, Any]
"""Names → ratios, trees of them, or `None` where there is nothing to say."""


def numbers_of(
    found: Assessment,
    pass_at: Sequence[int] = (),
    opponent: Assessment | None = None,
    win_by: Sequence[str] = (),
) -> Tree:
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
        return ratio(occurrences(verdicts, [counted], prompts), occurrences(verdicts, among, prompts))

    by_judge = {**found.verdicts.by_judge, **found.also}
    asked = {**by_judge, **({} if found.gold is None else {"gold": found.gold})}
    decided = found.verdicts.decided
    success = None if found.gold is None else rate(found.gold, Outcome.SATISFIED, DECIDED)
    passes = {} if success is None else {str(k): pass_at_k(success.denominator, success.numerator, k) for k in pass_at}
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
    return {**tree, **(comparisons(found, opponent, win_by) if opponent is not None else {})}


DECIDED = (Outcome.SATISFIED, Outcome.VIOLATED)


def occurrences(verdicts: Sequence[Verdict], outcomes: Sequence[Outcome], prompts: int) -> Numbers:
    """`[P]` how many of each prompt's verdicts are among some outcomes."""
    hits = np.array([float(verdict.outcome in outcomes) for verdict in verdicts])
    return hits.reshape(prompts, -1).sum(1)


def pass_at_k(decided: Numbers, right: Numbers, k: int) -> Ratio:
    """The chance that at least one of `k` responses to a prompt is right, averaged over prompts.

    The unbiased estimator of Chen et al. (arXiv 2107.03374, eq. 1), 1 − C(n−c, k) / C(n, k). A prompt with fewer than
    `k` decided responses says nothing.

    Args:
        decided: `[P]`, `n`: each prompt's responses that were found right or wrong.
        right: `[P]`, `c`: those found right.
        k: at least 1.
    """
    pairs = [(int(n), int(c)) for n, c in zip(decided, right, strict=True)]
    return ratio(
        [1 - math.comb(n - c, k) / math.comb(n, k) if n >= k else 0.0 for n, c in pairs],
        [float(n >= k) for n, _ in pairs],
    )


def estimates(tree: Tree, resamples: Resampling) -> dict[str, Any]:
    """Each number of a tree as `{value, low, high}`, or `None`."""
    return _mapped(lambda number: estimate(number, resamples), tree)


def differences(first: Tree, second: Tree, resamples: Resampling) -> dict[str, Any]:
    """Second less first, number by number, as `{value, low, high}`, or `None` where one of them is missing."""
    return _mapped(lambda one, other: difference(one, other, resamples), first, second)


def _mapped(compute: Callable[..., Estimate | None], *trees: Tree) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in trees[0]:
        values = [tree[name] for tree in trees]
        if any(value is None for value in values):
            result[name] = None
        elif isinstance(values[0], Ratio):
            found = compute(*values)
            result[name] = None if found is None else asdict(found)
        else:
            result[name] = _mapped(compute, *values)
    return result
