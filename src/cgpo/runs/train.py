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
from cgpo.distributed.sharding import whole_state
from cgpo.policy.causal import write_policy
from cgpo.progress import say
from cgpo.runs.launcher import launch
from cgpo.runs.resume import alone_in
from cgpo.runs.resume_point import find_resume_point
from cgpo.runs.session import Session
from cgpo.training.fit import choose_threads, fit
from cgpo.training.loggers import close, csv_logger
from cgpo.training.module import CGPOModule
from cgpo.training.summary import summarise, write_summary


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
    start = time.perf_counter()
    store, hardware = session.store, session.hardware
    config = resolved(session.config, store, "model", "tasks", "reward", "judges", "callbacks")
    if session.rendezvous is None and hardware.processes > 1:
        launch(command, session.folder, hardware.devices)
        return None
    with nullcontext() if hardware.strategy == "single" else joined_processes(session.rendezvous or Rendezvous()):
        return _train_here(session, config, start)


def _train_here(session: Session, config: TrainConfig, start: float) -> Mapping[str, Any] | None:
    """Trains as this process of the run; the first process leaves the results in the run's folder."""
    hardware, callbacks = session.hardware, make(config.callbacks)
    with alone_in(session.folder) if session.first else nullcontext():
        resume_point = find_resume_point(session.folder, callbacks, session.first, session.resumed)
        policy = build_policy(config, weights=session.reads_weights)
        experts = build_experts(config, session.prompts, policy, say)
        device = training_device(config.trainer)
        setting = config.trainer.threads
        threads = resume_point.threads or choose_threads(setting, policy, experts[0], device, hardware.devices)
        module = build_module(config, hardware, policy, experts)
        loggers = (
            [csv_logger(session.folder, resume_point.rows), *make(config.logger).values()] if session.first else []
        )
        try:
            fit(module, config.updates, hardware, list(callbacks.values()), loggers, resume_point.updates)
        finally:
            close(loggers)
            close_panels(experts)
        weights = whole_state(policy.model)  # of all processes together
        if not session.first:
            return None
        if not (session.folder / "policy").is_dir():  # killed after it was written, a run writes the same again
            write_policy(policy, weights, session.folder / "policy")
        return _conclude(session, config, module, callbacks, threads, time.perf_counter() - start)


def _conclude(
    session: Session, config: TrainConfig, module: CGPOModule, callbacks: dict[str, Any], threads: int, total: float
) -> Mapping[str, Any]:
    seconds = {
        **session.store.seconds,
        **callbacks["metrics"].totals,
        "evaluation": callbacks["evaluation"].seconds,
        "total": total,
    }
    summary = summarise(
        callbacks["evaluation"].results,
        seconds,
        seed=config.seed,
        updates=module.global_step,
        threads=threads,
        processes=session.hardware.processes,
        optimizer=type(module.experts[0].optimizer).__name__,
        judges=sorted(config.judges),
    )
    write_summary(session.folder / "summary.json", summary)
    return summary
