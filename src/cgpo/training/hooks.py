"""The parts of the module that Lightning asks for besides updates: callbacks, checkpoints, validation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from cgpo.distributed.process_group import ALONE, Processes
from cgpo.evaluation.held_out import evaluate
from cgpo.policy.causal import CausalPolicy
from cgpo.tasks.expert import Expert
from cgpo.training.callbacks.metrics import TaskMetrics
from cgpo.training.checkpoints.states import load_module_state, module_state
from cgpo.training.observer import observers
from cgpo.training.steps import Batch

STATE_KEY = "cgpo"
"""The key of Lightning's checkpoints for the state besides weights and moments."""
# Lightning warns of what is intended here: the policy has no dropout that a mode would turn on, and a checkpoint is of
# the state after an update.
for _message in (".*in eval mode at the start of training.*", "Using ModelCheckpoint with manual optimization.*"):
    warnings.filterwarnings("ignore", _message)


class MonitoredMetrics(TaskMetrics):
    """The metrics of every run, which Lightning's own callbacks can monitor, too."""

    @staticmethod
    def _log(trainer: Trainer, row: dict[str, float], step: int) -> None:
        TaskMetrics._log(trainer, row, step)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in row.items()})


class LightningHooks(LightningModule):
    """The base of `CGPOModule`, which makes it work with Lightning's own callbacks, loggers and checkpoints."""

    policy: CausalPolicy
    reference: CausalPolicy
    experts: tuple[Expert, ...]
    seed: int
    processes: Processes = ALONE

    def configure_callbacks(self) -> list[Callback]:
        """Returns the callback that logs the metrics, unless the trainer has one."""
        return [] if any(isinstance(callback, TaskMetrics) for callback in self._callbacks) else [MonitoredMetrics()]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state that a resumed run needs besides weights and moments."""
        checkpoint[STATE_KEY] = self.processes.everybody(module_state(self))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes that state up; if the number of processes has changed, the states of all of them."""
        states = checkpoint.get(STATE_KEY, [])
        own = states[self.global_rank : self.global_rank + 1] if len(states) == self.trainer.world_size else states
        if own:
            load_module_state(self, own)

    def validation_step(self, batch: Batch) -> None:
        """Evaluates tasks on held-out prompts and logs `eval/<task>/…`, which Lightning's callbacks can monitor."""
        if self.trainer.sanity_checking:
            return
        for expert in (expert for expert in self.experts if expert.name in batch):
            prompts = batch[expert.name]
            found = evaluate(self.policy, self.reference, expert, prompts, self.seed, processes=self.processes)
            self.notify("on_evaluation", expert, "during", found)

    def log_task(self, expert: Expert, name: str, values: Tensor | Sequence[float]) -> None:
        """Logs a metric of a task as `train/<task>/<name>`: the mean over the values of all processes.

        It reaches `metrics.csv`, W&B, the report and the dashboard like any other. Every process must log the same
        names in the same updates, also without values.

        Args:
            expert: the task, as an observer's hook gets it.
            name: the metric's name.
            values: one for each of this process's samples.
        """
        self.notify("on_metric", expert, name, torch.as_tensor(values, dtype=torch.float32))

    def notify(self, hook: str, *args: Any) -> None:
        """Calls a hook of every observer among the trainer's callbacks."""
        for observer in observers(self._callbacks):
            getattr(observer, hook)(self, *args)

    @property
    def _callbacks(self) -> list[Callback]:
        trainer: Any = self.trainer
        return trainer.callbacks
