"""Makes baseline responses ahead of the updates that need them."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge
from lightning import LightningModule, Trainer

from cgpo.bounds import Unit, check_arguments
from cgpo.training.observer import Observer
from cgpo.training.steps import Steps


class BaselinesAhead(Observer):
    """Samples, scores and judges the baseline responses of several updates at once.

    A batch of many short decodings takes hardly longer than one of few. Each sample depends only on its prompt, so the
    samples are the same as without this callback.

    Args:
        updates: the number of updates whose prompts are taken together.
    """

    def __init__(self, updates: Annotated[int, Ge(1), Unit("updates")] = 16) -> None:
        check_arguments(BaselinesAhead, locals())
        self.updates = updates

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Makes the baseline responses of the next updates, if it is time."""
        module: Any = pl_module
        if module.global_step % self.updates:
            return
        steps = Steps(module.experts, trainer.max_steps, module.seed)
        coming = [steps[t] for t in range(module.global_step, min(module.global_step + self.updates, len(steps)))]
        for expert in module.experts:
            module.prepare_baselines(
                expert, [p for batch in coming for p in module.own_prompts(expert, batch[expert.name]).values()]
            )
