"""A reward that a Python function computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cgpo.errors import UserError
from cgpo.types import Sample


class FunctionReward:
    """Scores each response with a function; implements `protocols.RewardModel`.

    Args:
        function: is given a sample, a prompt with its response, and answers a number; higher is better.
    """

    def __init__(self, function: Callable[[Sample], float]) -> None:
        self.function = function

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Rewards `[N]`, float32.

        Raises:
            UserError: the function answered something else than a finite number.
        """
        return torch.tensor([self._score(sample) for sample in samples], dtype=torch.float32)

    def _score(self, sample: Sample) -> float:
        found: Any = self.function(sample)
        try:
            number = float(found)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            name = getattr(self.function, "__name__", type(self.function).__name__)
            raise UserError(f"reward {name}: it answered {found!r} for row {sample.prompt.key}, which is no number")
        return number
