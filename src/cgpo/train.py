"""The main job: `python -m cgpo.train optimizer=crpg judges=all tasks=paper`."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cgpo.composition.build import artifact_store, build_experts, close_panels, load_prompts, make
from cgpo.composition.command import judge_choices, run_command
from cgpo.composition.plan import plan_of
from cgpo.composition.run_folder import write_config
from cgpo.composition.session import quiet, set_threads
from cgpo.composition.values import check_values
from cgpo.policy.causal import load_policy
from cgpo.trainer.fit import choose_threads, fit
from cgpo.trainer.loggers import close, csv_logger
from cgpo.trainer.module import CGPOModule
from cgpo.trainer.schedule import WarmupCosine
from cgpo.trainer.summary import show, summarise, write_summary


def train(config: DictConfig) -> None:
    """Makes what is missing, trains, evaluates, and leaves a run folder.

    Raises:
        UserError: the configuration, a file or a model is not what it should be.
    """
    start = time.perf_counter()
    quiet()
    folder = Path(HydraConfig.get().runtime.output_dir)
    console = Console()
    announce = partial(console.print, style="dim", highlight=False, soft_wrap=True)

    plan = plan_of(config, judge_choices(config))
    check_values(plan)
    set_threads(plan["trainer"]["threads"])
    prompts = load_prompts(plan)
    write_config(folder, config)

    store = artifact_store(plan, announce)
    plan = {**plan, **{key: store.resolve(plan[key]) for key in ("model", "reward", "judges")}}
    policy = load_policy(**plan["model"])
    experts = build_experts(plan, prompts, policy, announce)
    threads = choose_threads(plan["trainer"]["threads"], policy, experts[0])

    weights, seed, updates = plan["weights"], plan["seed"], plan["updates"]
    module = CGPOModule(
        policy=policy,
        experts=experts,
        update=make(plan["update"]),
        weight_optimizer=partial(torch.optim.AdamW, lr=weights["learning_rate"], weight_decay=weights["weight_decay"]),
        schedule=WarmupCosine(updates, weights["warmup_steps"], weights["final_factor"]),
        seed=seed,
        clip_norm=weights["clip_norm"],
        baseline=plan["baseline"],
    )
    callbacks = make(plan["callbacks"])
    loggers = [csv_logger(folder), *make(plan["logger"]).values()]
    try:
        fit(module, updates, plan["trainer"]["options"], list(callbacks.values()), loggers)
    finally:
        close(loggers)
        close_panels(experts)
    policy.save(folder / "policy")

    seconds = {
        **store.seconds,
        **callbacks["metrics"].totals,
        "evaluation": callbacks["evaluation"].seconds,
        "total": time.perf_counter() - start,
    }
    summary = summarise(
        callbacks["evaluation"].results,
        seconds,
        seed=seed,
        updates=updates,
        threads=threads,
        optimizer=type(experts[0].optimizer).__name__,
        judges=sorted(plan["judges"]),
    )
    write_summary(folder / "summary.json", summary)
    show(summary, console)
    announce(f"all of it lies in {folder}")


if __name__ == "__main__":
    run_command(train)
