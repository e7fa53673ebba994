"""The schedule of the learning rate, as a factor of its highest value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lightning import Trainer

WARMUP_STEPS = 5
FINAL_FACTOR = 0.3


@dataclass(frozen=True)
class WarmupCosine:
    """Rises linearly over the warm-up steps, then falls along a cosine to a share of the highest value.

    Attributes:
        steps: the number of steps of the run.
        warmup_steps: the number of steps of the rise.
        final_factor: the factor at the end; 1 keeps the rate constant.
    """

    steps: int
    warmup_steps: int = 0
    final_factor: float = 0.1

    def __call__(self, step: int) -> float:
        """Returns the factor of the step-th step, from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.final_factor + (1 - self.final_factor) * cosine


def whole_run(
    trainer: Trainer, warmup_steps: int = WARMUP_STEPS, final_factor: float = FINAL_FACTOR
) -> Callable[[int], float]:
    """Makes the schedule over all steps of a trainer, or of the highest rate throughout if these never end.

    Args:
        trainer: the trainer, before its first step.
        warmup_steps: the number of steps of the rise.
        final_factor: the factor at the end.
    """
    steps = trainer.max_steps if trainer.max_steps > 0 else trainer.estimated_stepping_batches
    if math.isinf(steps):
        return WarmupCosine(1, warmup_steps, 1.0)
    schedule = WarmupCosine(int(steps), warmup_steps, final_factor)
    # torch does not store a function with the scheduler, so a run that continues for longer has the longer schedule.
    return lambda step: schedule(step)
