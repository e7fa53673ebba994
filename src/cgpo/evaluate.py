"""Evaluation on held-out prompts: `python -m cgpo.evaluate model.path=runs/…/policy`."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cgpo.composition.build import artifact_store, build_experts, close_panels, load_prompts, make
from cgpo.composition.command import judge_choices, run_command
from cgpo.composition.plan import plan_of
from cgpo.composition.run_folder import write_config
from cgpo.composition.session import quiet, set_threads
from cgpo.composition.values import check_values
from cgpo.errors import UserError
from cgpo.policy.causal import load_policy
from cgpo.trainer.evaluation import evaluate as evaluate_task
from cgpo.trainer.fit import choose_threads
from cgpo.trainer.summary import evaluation_table


def evaluate(config: DictConfig) -> None:
    """Evaluates a policy on every task, against the reference it was trained from, and writes `evaluation.json`.

    Raises:
        UserError: the configuration, a file or a model is not what it should be.
    """
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
    plan = {**plan, **{key: store.resolve(plan[key]) for key in ("model", "reference", "reward", "judges")}}
    policy = load_policy(**plan["model"])
    reference = load_policy(**{**plan["model"], "path": plan["reference"] or plan["model"]["path"]})
    if reference.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UserError(
            f"reference: {plan['reference']} reads other tokens than {plan['model']['path']}; name the model that the "
            "policy was trained from, or write reference=null: the KL divergence is then 0"
        )
    experts = build_experts(plan, prompts, policy, announce)
    choose_threads(plan["trainer"]["threads"], policy, experts[0])

    options = make(plan["callbacks"]["evaluation"])
    results = {
        expert.name: evaluate_task(
            policy, reference, expert, expert.held_out[: options.prompts], plan["seed"], options.measures
        ).result
        for expert in experts
        if expert.held_out
    }
    close_panels(experts)
    written = {name: asdict(result) for name, result in results.items()}
    (folder / "evaluation.json").write_text(json.dumps(written, indent=2))
    console.print(evaluation_table(results))
    announce(f"all of it lies in {folder}")


if __name__ == "__main__":
    run_command(evaluate)
