"""The three objectives once more, in plain Python floats and straight from the paper's formulas, to compare with.

Each function answers the loss to be minimised and its derivative by every token's log-probability.
"""

import math
from collections.abc import Sequence

from tests.optimizer.batches import Response, Row

Gradient = list[list[list[float]]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def rho(response: Response) -> float:
    return math.fsum(response.logprobs) - math.fsum(response.reference)


def zeros(rows: Sequence[Row]) -> Gradient:
    return [[[0.0] * len(r.logprobs) for r in row.responses] for row in rows]


def crpg(rows: Sequence[Row], kl_max: float, factor_cap: float = math.inf) -> tuple[float, Gradient]:
    """Eqs. 8, 11 and 12, over the decided responses."""
    rewards: dict[tuple[int, int], float] = {}
    for b, row in enumerate(rows):
        for k, r in enumerate(row.responses):
            if r.decided:
                regularised = sigmoid(r.reward - row.baseline_reward) if r.satisfied else 0.0
                rewards[b, k] = min(max(1 - rho(r) / kl_max, 0.0), factor_cap) * regularised
    gradient = zeros(rows)
    if not rewards:
        return 0.0, gradient
    n = len(rewards)
    mean = math.fsum(rewards.values()) / n
    loss = 0.0
    for (b, k), reward in rewards.items():
        r = rows[b].responses[k]
        loss -= (reward - mean) * math.fsum(r.logprobs) / n
        gradient[b][k] = [-(reward - mean) / n] * len(r.logprobs)
    return loss, gradient


def codpo(rows: Sequence[Row], beta: float, positive_weight: float) -> tuple[float, Gradient]:
    """Eqs. 13 and 14."""
    gradient = zeros(rows)
    loss = 0.0
    for b, row in enumerate(rows):
        numbered = [(k, r) for k, r in enumerate(row.responses) if r.decided]
        satisfied = [(k, r) for k, r in numbered if r.satisfied]
        if not satisfied:
            continue
        best, a_plus = max(satisfied, key=lambda item: item[1].reward)
        violated = [(k, r) for k, r in numbered if not r.satisfied]
        rivals = [(k, r) for k, r in violated or satisfied if _identity(r, k) != _identity(a_plus, best)]
        if not rivals:
            continue
        worst, a_minus = min(rivals, key=lambda item: item[1].reward)
        margin = beta * (rho(a_plus) - rho(a_minus))
        length = max(1, len(a_plus.logprobs))
        likelihood = positive_weight / length * math.fsum(a_plus.logprobs)
        loss -= (math.log(sigmoid(margin)) + likelihood) / len(rows)
        pull = beta * sigmoid(-margin)
        gradient[b][best] = [-(pull + positive_weight / length) / len(rows)] * len(a_plus.logprobs)
        gradient[b][worst] = [pull / len(rows)] * len(a_minus.logprobs)
    return loss, gradient


def crraft(rows: Sequence[Row], kl_max: float) -> tuple[float, Gradient, list[list[float]]]:
    """Eqs. 16 to 18; the last value is the derivative by the baselines' log-probabilities."""
    gradient = zeros(rows)
    of_baselines = [[0.0] * len(row.baseline_logprobs) for row in rows]
    loss = 0.0
    for b, row in enumerate(rows):
        kept = [(k, r) for k, r in enumerate(row.responses) if r.decided and r.satisfied and not rho(r) > kl_max]
        if kept:
            best, chosen = max(kept, key=lambda item: item[1].reward)
            weight = sigmoid(chosen.reward - row.baseline_reward) / len(rows)
            loss -= weight * math.fsum(chosen.logprobs)
            gradient[b][best] = [-weight] * len(chosen.logprobs)
        elif row.baseline_satisfied:
            loss -= 0.5 * math.fsum(row.baseline_logprobs) / len(rows)
            of_baselines[b] = [-0.5 / len(rows)] * len(row.baseline_logprobs)
    return loss, gradient, of_baselines


def _identity(response: Response, index: int) -> int:
    return index if response.identity is None else response.identity
