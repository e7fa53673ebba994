"""Evaluation on held-out prompts: `python -m cgpo.evaluate model.path=runs/…/policy`."""

from __future__ import annotations

import json
from dataclasses import asdict

from omegaconf import DictConfig

from cgpo.composition.build import build_experts, close_panels
from cgpo.composition.classes import make
from cgpo.composition.command import run_command
from cgpo.composition.session import begin
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
    session = begin(config)
    made = {
        key: session.store.resolve(session.plan[key])
        for key in ("model", "reference", "tasks", "reward", "judges", "callbacks")
    }
    plan = {**session.plan, **made}
    policy = load_policy(**plan["model"])
    reference = load_policy(**{**plan["model"], "path": plan["reference"] or plan["model"]["path"]})
    if reference.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UserError(
            f"reference: {plan['reference']} reads other tokens than {plan['model']['path']}; name the model that the "
            "policy was trained from, or write reference=null: the KL divergence is then 0"
        )
    experts = build_experts(plan, session.prompts, policy, session.announce)
    choose_threads(plan["trainer"]["threads"], policy, experts[0])

    options = make(plan["callbacks"]["evaluation"])
    try:
        results = {
            expert.name: evaluate_task(
                policy, reference, expert, expert.held_out[: options.prompts], plan["seed"], options.measures
            ).result
            for expert in experts
            if expert.held_out
        }
    finally:
        close_panels(experts)
    written = {name: asdict(result) for name, result in results.items()}
    (session.folder / "evaluation.json").write_text(json.dumps(written, indent=2))
    session.console.print(evaluation_table(results))
    session.announce(f"all of it lies in {session.folder}")


if __name__ == "__main__":
    run_command(evaluate)
