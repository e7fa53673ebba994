"""A run of training from its first update to its folder, for the command line and for Python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lightning import Callback
from lightning.pytorch.loggers import Logger

from cgpo.distributed.sharding import full_state_dict
from cgpo.policy.causal import write_policy
from cgpo.training.callbacks.evaluator import Evaluator
from cgpo.training.callbacks.metrics import TaskMetrics
from cgpo.training.fit import choose_threads, fit
from cgpo.training.hardware import Hardware
from cgpo.training.loggers import close
from cgpo.training.module import CGPOModule
from cgpo.training.summary import summarise, write_summary

POLICY, SUMMARY = "policy", "summary.json"
"""What a run leaves in its folder at its end."""


@dataclass(frozen=True)
class TrainingRun:
    """The parts of a run.

    Attributes:
        folder: the run's folder.
        module: what is trained.
        updates: the number of updates of the whole run.
        hardware: the hardware that it is trained on.
        device: the device of this process.
        callbacks: the callbacks by name; one of them logs metrics, and one evaluates.
        loggers: where metrics go; empty in processes that write no files.
        threads: the number of torch's threads, or `auto` to measure.
        done: the number of updates that were done before.
        first: whether this process writes the run's files.
        seconds: the wall-clock seconds that were spent before the run, by what was made.
        began: when the run began, by `time.perf_counter`.
    """

    folder: Path
    module: CGPOModule
    updates: int
    hardware: Hardware
    device: str
    callbacks: Mapping[str, Callback]
    loggers: Sequence[Logger] = ()
    threads: int | Literal["auto"] = "auto"
    done: int = 0
    first: bool = True
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    began: float = field(default_factory=time.perf_counter)

    def complete(self) -> dict[str, Any] | None:
        """Trains, and writes the policy and the summary into the folder.

        Returns:
            The content of `summary.json`; `None` in processes beside the first.

        Raises:
            PreemptedError: a signal asked the run to end, and it has been saved.
        """
        module, hardware = self.module, self.hardware
        try:
            threads = choose_threads(self.threads, module.policy, module.experts[0], self.device, hardware.devices)
            fit(module, self.updates, hardware, list(self.callbacks.values()), self.loggers, self.done)
        finally:
            close(self.loggers)
        weights = full_state_dict(module.policy.model)  # of all processes together
        if not self.first:
            return None
        if not (self.folder / POLICY).is_dir():  # killed after it was written, a run writes the same again
            write_policy(module.policy, weights, self.folder / POLICY)
        summary = self._summary(threads)
        write_summary(self.folder / SUMMARY, summary)
        return summary

    def _summary(self, threads: int) -> dict[str, Any]:
        metrics = next(callback for callback in self.callbacks.values() if isinstance(callback, TaskMetrics))
        evaluator = next(callback for callback in self.callbacks.values() if isinstance(callback, Evaluator))
        total = time.perf_counter() - self.began
        return summarise(
            evaluator.results,
            {**self.seconds, **metrics.totals, "evaluation": evaluator.seconds, "total": total},
            seed=self.module.seed,
            updates=self.module.global_step,
            threads=threads,
            processes=self.hardware.processes,
            optimizer=type(self.module.experts[0].optimizer).__name__,
            judges=sorted({judge for expert in self.module.experts for judge in expert.panel.names}),
        )
