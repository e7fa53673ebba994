"""The learning rate over a run, as a factor of its highest value."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupCosine:
    """Rises linearly over the warm-up steps, then falls along a cosine to a share of the highest value.

    Attributes:
        steps: all steps of the run.
        warmup_steps: steps of the rise.
        final_factor: the factor at the end; 1 keeps the rate constant.
    """

    steps: int
    warmup_steps: int = 0
    final_factor: float = 0.1

    def __call__(self, step: int) -> float:
        """The factor of the step-th step, from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.final_factor + (1 - self.final_factor) * cosine
