"""The main job: `python -m cgpo.train optimizer=crpg judges=all tasks=paper`."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import Any

from omegaconf import DictConfig

from cgpo.build.components import make
from cgpo.build.devices import training_device
from cgpo.build.module import build_module
from cgpo.build.plan import Config
from cgpo.build.tasks import build_experts, close_panels
from cgpo.cli.command import run_command
from cgpo.distributed.rendezvous import Rendezvous, joined_processes
from cgpo.distributed.sharding import whole_state
from cgpo.policy.causal import describe_policy, load_policy, write_policy
from cgpo.runs.launcher import supervise
from cgpo.runs.resume import alone_in, is_complete
from cgpo.runs.resume_point import find_resume_point
from cgpo.runs.session import Session, begin
from cgpo.training.fit import choose_threads, fit
from cgpo.training.loggers import close, csv_logger
from cgpo.training.module import CGPOModule
from cgpo.training.preemption import STATUS, PreemptedError
from cgpo.training.summary import show, summarise, write_summary


def train(config: DictConfig) -> None:
    """Makes what is missing, trains, evaluates, and leaves a run folder.

    Raises:
        UserError: the configuration, a file or a model is not what it should be.
        SystemExit: the run was told to end, and is saved; or one of its processes failed.
    """
    start = time.perf_counter()
    session = begin(config)
    store, hardware = session.store, session.hardware
    if session.resumed and is_complete(session.folder):
        session.announce(f"{session.folder}: this run has come to its end already")
        return
    made = {key: store.resolve(session.plan[key]) for key in ("model", "tasks", "reward", "judges", "callbacks")}
    plan = {**session.plan, **made}
    if session.rendezvous is None and hardware.processes > 1:
        supervise(session.folder, hardware.devices)
        return
    try:
        with nullcontext() if hardware.strategy == "single" else joined_processes(session.rendezvous or Rendezvous()):
            run(session, plan, start)
    except PreemptedError as error:
        session.announce(f"{error}; the same command with trainer.resume=auto goes on")
        sys.exit(STATUS)


def run(session: Session, plan: Config, start: float) -> None:
    """Trains as this process of the run; the first process leaves the results in the run's folder.

    Args:
        session: the run.
        plan: of what is to be built, without references.
        start: when the command began.

    Raises:
        PreemptedError: SIGTERM ended the run.
    """
    hardware, callbacks = session.hardware, make(plan["callbacks"])
    with alone_in(session.folder) if session.first else nullcontext():
        resume_point = find_resume_point(session, callbacks)
        policy = (load_policy if session.reads_weights else describe_policy)(**plan["model"])
        experts = build_experts(plan, session.prompts, policy, session.announce)
        device = training_device(plan["trainer"])
        setting = plan["trainer"]["threads"]
        threads = resume_point.threads or choose_threads(setting, policy, experts[0], device, hardware.devices)
        module = build_module(plan, hardware, policy, experts)
        loggers = (
            [csv_logger(session.folder, resume_point.rows), *make(plan["logger"]).values()] if session.first else []
        )
        try:
            fit(module, plan["updates"], hardware, list(callbacks.values()), loggers, resume_point.updates)
        finally:
            close(loggers)
            close_panels(experts)
        weights = whole_state(policy.model)  # of all processes together
        if session.first:
            if not (session.folder / "policy").is_dir():  # killed after it was written, a run writes the same again
                write_policy(policy, weights, session.folder / "policy")
            _conclude(session, plan, module, callbacks, threads, time.perf_counter() - start)


def _conclude(
    session: Session, plan: Config, module: CGPOModule, callbacks: dict[str, Any], threads: int, total: float
) -> None:
    seconds = {
        **session.store.seconds,
        **callbacks["metrics"].totals,
        "evaluation": callbacks["evaluation"].seconds,
        "total": total,
    }
    summary = summarise(
        callbacks["evaluation"].results,
        seconds,
        seed=plan["seed"],
        updates=module.global_step,
        threads=threads,
        processes=session.hardware.processes,
        optimizer=type(module.experts[0].optimizer).__name__,
        judges=sorted(plan["judges"]),
    )
    write_summary(session.folder / "summary.json", summary)
    show(summary, session.console)
    session.announce(f"all of it lies in {session.folder}")


if __name__ == "__main__":
    run_command(train)
