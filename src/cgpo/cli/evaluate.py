"""Evaluation on held-out prompts: `python -m cgpo.cli.evaluate 'policies={crpg: runs/a/policy, ppo: runs/b/policy}'`."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version

from omegaconf import DictConfig
from torch import nn

from cgpo.build.devices import training_device
from cgpo.build.evaluating import evaluation_plan, held_out, model_readers, not_asked, settings_of
from cgpo.build.plan import Config, judge_choices
from cgpo.build.tasks import build_experts, close_panels
from cgpo.cli.command import run_command
from cgpo.evaluation.comparison import Comparison
from cgpo.evaluation.samples import SampleFile
from cgpo.evaluation.tables import tables
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.policy.reader import StrictestReader, load_reader
from cgpo.runs.session import Session, begin
from cgpo.training.fit import choose_threads
from cgpo.training.summary import write_summary


def evaluate(config: DictConfig) -> None:
    """Evaluates policies side by side on every task, and writes `evaluation.json` and `samples.jsonl`.

    Raises:
        UserError: the configuration, a file or a model is not what it should be.
    """
    named = evaluation_plan(config, judge_choices(config))
    session = begin(config, named)
    plan = _resolved(session)
    compared = _compare(plan, session)
    written = {
        "policies": {name: {"path": named["policies"][name], **found} for name, found in compared["policies"].items()},
        "differences": compared["differences"],
        "reference": named["reference"],
        "opponent": _opponent(named),
        "win_by": named["evaluation"]["win_by"],
        "seed": named["seed"],
        "resamples": named["evaluation"]["resamples"],
        "version": version("cgpo"),
        "command": shlex.join(["python", "-m", "cgpo.cli.evaluate", *sys.argv[1:]]),
    }
    write_summary(session.folder / "evaluation.json", written)
    for table in tables(written):
        session.console.print(table)
    session.announce(f"all of it lies in {session.folder}")


def _resolved(session: Session) -> Config:
    """The plan with references replaced by folders; what is missing is made."""
    for judge in not_asked(session.plan):
        session.announce(f"evaluation.also_judge: {judge} is not asked, as judges=… does not choose it")
    keys = ("reference", "tasks", "reward", "judges", "policies", "evaluation")
    return {**session.plan, **{key: session.store.resolve(session.plan[key]) for key in keys}}


def _opponent(plan: Config) -> str | None:
    """The path of what win rates are against; `None` where none are asked for."""
    return (plan["evaluation"]["opponent"] or plan["reference"]) if plan["evaluation"]["win_by"] else None


def _compare(plan: Config, session: Session) -> Config:
    opponent = _opponent(plan)
    readers = list(model_readers(plan).values())
    if opponent is not None:
        readers.append(load_reader(opponent))
    experts = build_experts(plan, session.prompts, StrictestReader(readers), session.announce)
    try:
        reference = _load(plan, plan["reference"])
        choose_threads(plan["trainer"]["threads"], reference, experts[0], training_device(plan["trainer"]))
        tasks = held_out(experts, plan)
        keep = SampleFile(session.folder / "samples.jsonl", plan["evaluation"]["keep"])
        comparison = Comparison(tasks, settings_of(plan), keep, session.announce)
        if opponent is not None:
            comparison.face(reference if opponent == plan["reference"] else _load(plan, opponent))
        for name, path in plan["policies"].items():
            comparison.add(name, _load(plan, path), reference)
    finally:
        close_panels(experts)
    return comparison.results()


def _load(plan: Config, path: str) -> CausalPolicy:
    policy = load_policy(**{**plan["model"], "path": path})
    nn.Module.to(policy.model, training_device(plan["trainer"]))
    return policy


if __name__ == "__main__":
    run_command(evaluate, root="evaluate")
