"""A run of training, from a session to the results in its folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from cgpo.build.artifacts import resolved
from cgpo.build.devices import training_device
from cgpo.build.module import build_module
from cgpo.build.objects import make
from cgpo.build.policies import build_policy
from cgpo.build.tasks import build_experts, close_panels
from cgpo.config import TrainConfig
from cgpo.distributed.rendezvous import Rendezvous, joined_processes
from cgpo.progress import bar, say
from cgpo.runs.launcher import launch
from cgpo.runs.resume import alone_in
from cgpo.runs.resume_point import find_resume_point
from cgpo.runs.session import Session
from cgpo.training.loggers import csv_logger
from cgpo.training.run import TrainingRun


def train(session: Session, command: Sequence[str]) -> Mapping[str, Any] | None:
    """Makes what is missing, trains, evaluates, and leaves a run folder.

    Args:
        session: the run.
        command: what several processes are started by, each of them anew with the overrides of this one.

    Returns:
        The content of `summary.json`; `None` in processes beside the first.

    Raises:
        UserError: a file or a model is not what it should be.
        PreemptedError: the run was told to end, and is saved.
        SystemExit: one of its processes failed, or was told to end.
    """
    began = time.perf_counter()
    hardware = session.hardware
    config = resolved(session.config, session.store, "model", "tasks", "reward", "judges", "callbacks")
    if session.rendezvous is None and hardware.processes > 1:
        launch(command, session.folder, hardware.devices)
        return None
    with nullcontext() if hardware.strategy == "single" else joined_processes(session.rendezvous or Rendezvous()):
        return _train_here(session, config, began)


def _train_here(session: Session, config: TrainConfig, began: float) -> Mapping[str, Any] | None:
    """Trains as this process of the run; the first process leaves the results in the run's folder."""
    folder, callbacks = session.folder, make(config.callbacks)
    with alone_in(folder) if session.first else nullcontext():
        resume_point = find_resume_point(folder, callbacks, session.first, session.resumed)
        with bar("loading models", None):
            policy = build_policy(config, weights=session.reads_weights)
            experts = build_experts(config, session.prompts, policy, say)
        run = TrainingRun(
            folder=folder,
            module=build_module(config, session.hardware, policy, experts),
            updates=config.updates,
            hardware=session.hardware,
            device=training_device(config.trainer),
            callbacks=callbacks,
            loggers=[csv_logger(folder, resume_point.rows), *make(config.logger).values()] if session.first else [],
            threads=resume_point.threads or config.trainer.threads,
            done=resume_point.updates,
            first=session.first,
            seconds=session.store.seconds,
            began=began,
        )
        try:
            return run.complete()
        finally:
            close_panels(experts)
