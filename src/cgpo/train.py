"""The main job: `python -m cgpo.train optimizer=crpg judges=all tasks=paper`."""

from __future__ import annotations

import time
from functools import partial

import torch
from omegaconf import DictConfig

from cgpo.composition.build import build_experts, close_panels
from cgpo.composition.classes import make
from cgpo.composition.command import run_command
from cgpo.composition.devices import training_device
from cgpo.composition.plan import Config
from cgpo.composition.session import Session, begin
from cgpo.composition.supervisor import supervise
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.policy.export import write_policy
from cgpo.policy.reference import frozen_reference
from cgpo.policy.sharding import whole_state
from cgpo.trainer.fit import choose_threads, fit
from cgpo.trainer.loggers import close, csv_logger
from cgpo.trainer.meeting import Seat, met
from cgpo.trainer.module import CGPOModule
from cgpo.trainer.schedule import WarmupCosine
from cgpo.trainer.summary import show, summarise, write_summary


def train(config: DictConfig) -> None:
    """Makes what is missing, trains, evaluates, and leaves a run folder.

    Raises:
        UserError: the configuration, a file or a model is not what it should be.
    """
    start = time.perf_counter()
    session = begin(config)
    store, hardware = session.store, session.hardware
    made = {key: store.resolve(session.plan[key]) for key in ("model", "tasks", "reward", "judges", "callbacks")}
    plan = {**session.plan, **made}
    if session.seat is None and hardware.processes > 1:
        supervise(session.folder, hardware.devices)
    elif hardware.strategy == "single":
        run(session, plan, start)
    else:
        with met(session.seat or Seat()):
            run(session, plan, start)


def run(session: Session, plan: Config, start: float) -> None:
    """Trains as this process of the run, and evaluates; the first process leaves the results in the run's folder.

    Args:
        session: the run.
        plan: of what is to be built, without references.
        start: when the command began.
    """
    folder, hardware, weights, updates = session.folder, session.hardware, plan["weights"], plan["updates"]
    policy = load_policy(**plan["model"])
    experts = build_experts(plan, session.prompts, policy, session.announce)
    threads = choose_threads(plan["trainer"]["threads"], policy, experts[0], hardware.devices)
    module = CGPOModule(
        policy=policy,
        experts=experts,
        update=make(plan["update"]),
        weight_optimizer=partial(torch.optim.AdamW, lr=weights["learning_rate"], weight_decay=weights["weight_decay"]),
        schedule=WarmupCosine(updates, weights["warmup_steps"], weights["final_factor"]),
        seed=plan["seed"],
        clip_norm=weights["clip_norm"],
        baseline=plan["baseline"],
        mixed=hardware.mixed_pieces,
        reference=_reference(plan, policy),
    )
    callbacks = make(plan["callbacks"])
    loggers = [csv_logger(folder), *make(plan["logger"]).values()] if session.first else []
    try:
        fit(module, updates, hardware, list(callbacks.values()), loggers)
    finally:
        close(loggers)
        close_panels(experts)
    state = whole_state(policy.model)  # of all processes together

    seconds = {
        **session.store.seconds,
        **callbacks["metrics"].totals,
        "evaluation": callbacks["evaluation"].seconds,
        "total": time.perf_counter() - start,
    }
    summary = summarise(
        callbacks["evaluation"].results,
        seconds,
        seed=plan["seed"],
        updates=module.global_step,
        threads=threads,
        processes=hardware.processes,
        optimizer=type(experts[0].optimizer).__name__,
        judges=sorted(plan["judges"]),
    )
    if session.first:
        write_policy(policy, state, folder / "policy")
        write_summary(folder / "summary.json", summary)
        show(summary, session.console)
        session.announce(f"all of it lies in {folder}")


def _reference(plan: Config, policy: CausalPolicy) -> CausalPolicy | None:
    """The reference, where it is to lie elsewhere than the policy, or in fewer bits."""
    device, quantization = plan["reference_device"], plan["reference_quantization"]
    if device is None and quantization is None:
        return None
    return frozen_reference(policy, device or training_device(plan["trainer"]), quantization)


if __name__ == "__main__":
    run_command(train)
