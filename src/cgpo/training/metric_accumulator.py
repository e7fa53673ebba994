"""Accumulates means and sums by name, over batches and, in one exchange, over processes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, distributed
from torchmetrics import MeanMetric, SumMetric

from cgpo.tensors import float_list

Pair = tuple[float, float]
"""The sum of a mean's values, and how many they are."""


class MetricAccumulator:
    """Means and sums by name. Processes that add theirs up must have the same names."""

    def __init__(self) -> None:
        self._means: dict[str, MeanMetric] = {}
        self._sums: dict[str, SumMetric] = {}

    def mean(self, name: str, values: Tensor) -> None:
        """Adds values to a mean, which then exists even without values."""
        self._means.setdefault(name, MeanMetric()).update(values.detach().float().cpu())

    def sum(self, name: str, value: float) -> None:
        """Adds to a sum."""
        self._sums.setdefault(name, SumMetric()).update(value)

    def clear(self) -> None:
        """Forgets everything."""
        self._means.clear()
        self._sums.clear()

    def over_processes(self) -> tuple[dict[str, float], dict[str, float]]:
        """Returns means and sums over all processes; a mean without values is left out."""
        means, sums = self._pairs(), self._totals()
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            means, sums = _added_up(means, sums)
        found = {name: value / count for name, (value, count) in means.items() if count}
        return {name: value for name, value in found.items() if math.isfinite(value)}, sums

    def state_dict(self) -> dict[str, Any]:
        """Returns what was counted since the last `clear`, as plain numbers."""
        return {"means": {name: list(pair) for name, pair in self._pairs().items()}, "sums": self._totals()}

    def zeros(self) -> dict[str, Any]:
        """Returns a state with the same names, in which nothing was counted."""
        return {"means": {name: [0.0, 0.0] for name in self._means}, "sums": dict.fromkeys(self._sums, 0.0)}

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Continues with what one process counted, or with what several counted together."""
        self.clear()
        for state in states:
            for name, (value, count) in state["means"].items():
                mean = self._means.setdefault(name, MeanMetric())
                mean.mean_value, mean.weight = mean.mean_value + value, mean.weight + count
            for name, value in state["sums"].items():
                metric = self._sums.setdefault(name, SumMetric())
                metric.sum_value = metric.sum_value + value

    def _pairs(self) -> dict[str, Pair]:
        return {name: (float(mean.mean_value), float(mean.weight)) for name, mean in self._means.items()}

    def _totals(self) -> dict[str, float]:
        return {name: float(metric.sum_value) for name, metric in self._sums.items()}


def _added_up(means: Mapping[str, Pair], sums: Mapping[str, float]) -> tuple[dict[str, Pair], dict[str, float]]:
    """Adds up numerators and counts over processes, all of them in one exchange."""
    _assert_same([*sorted(means), *sorted(sums)])
    packed = [*(number for name in sorted(means) for number in means[name]), *(sums[name] for name in sorted(sums))]
    numbers = torch.tensor(packed, dtype=torch.float64)
    all_reduce = cast("Callable[[Tensor], object]", distributed.all_reduce)  # pyright: ignore[reportUnknownMemberType]
    all_reduce(numbers)
    added = float_list(numbers)
    pairs = zip(added[0 : 2 * len(means) : 2], added[1 : 2 * len(means) : 2], strict=True)
    return dict(zip(sorted(means), pairs, strict=True)), dict(zip(sorted(sums), added[2 * len(means) :], strict=True))


def _assert_same(names: list[str]) -> None:
    digest = int.from_bytes(hashlib.sha256("\n".join(names).encode()).digest()[:7], "big")
    own = torch.tensor([digest])
    digests = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    all_gather = cast("Callable[[list[Tensor], Tensor], object]", distributed.all_gather)  # pyright: ignore[reportUnknownMemberType]
    all_gather(digests, own)
    if any(int(other) != digest for other in digests):
        everyone: list[Any] = [None] * len(digests)
        gather_objects = cast("Callable[..., object]", distributed.all_gather_object)  # pyright: ignore[reportUnknownMemberType]
        gather_objects(everyone, names)
        common = set(everyone[0]).intersection(*everyone)
        odd = {rank: sorted(set(of) - common) for rank, of in enumerate(everyone) if set(of) - common}
        raise AssertionError(f"processes count different metrics; those that not all have, by rank: {odd}")
