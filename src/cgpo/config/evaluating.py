"""An evaluation's own keys: the policies by name, what they are compared with, and what is asked of their responses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf

from cgpo.config.components import Component, Value, artifacts, check_components
from cgpo.config.evaluation import EvaluateConfig
from cgpo.config.policies import POLICY, named_policies, policy_path
from cgpo.config.references import check_artifacts, check_models, named_models
from cgpo.config.tasks import check_names
from cgpo.errors import UserError

OPPONENT = "opponent"
"""A name that no policy may have: that of the opponent's rows in `samples.jsonl`."""
REWARD, GOLD = "reward", "gold"
"""What decides a win besides judges."""


def with_policies(tree: Mapping[str, Value]) -> Mapping[str, Value]:
    """An evaluation's tree with its policies by name, and the reference that they are measured from.

    Raises:
        UserError: the policies are neither a mapping nor a list of paths, or one of them is named twice.
    """
    model, given = tree.get("model"), tree.get("policies")
    path = model.get("path") if isinstance(model, Mapping) else None
    if not isinstance(model, Mapping) or not isinstance(path, str):
        return tree
    reference = tree.get("reference")
    if reference is None:
        reference = path if given is not None else start_of(path)
    return {
        **tree,
        "model": {**model, "path": policy_path(path)},
        "policies": named_policies(given, path, reserved=OPPONENT),
        "reference": policy_path(reference) if isinstance(reference, str) else reference,
    }


def start_of(path: str) -> str:
    """The model that a policy was trained from, where it lies in the folder of its run; else the policy itself."""
    folder = Path(policy_path(path))
    file = folder.parent / "config.yaml"
    if folder.name != POLICY or not file.is_file():
        return path
    started = OmegaConf.select(OmegaConf.load(file), "model.path")
    return str(started) if started else path


def finished_evaluation(config: EvaluateConfig) -> EvaluateConfig:
    """The same, with its criteria checked, the defaults that depend on others, and lines on what is not asked.

    Raises:
        UserError: naming the key and what it must be.
    """
    settings = config.evaluation
    if not settings.samples and settings.greedy is None:
        raise UserError("evaluation: samples is 0 and greedy is null, so that nothing would be drawn; set one of them")
    opponent = None if settings.opponent is None else policy_path(settings.opponent)
    update = {"pass_at": _pass_at(config), "opponent": opponent}
    found = config.model_copy(update={"evaluation": settings.model_copy(update=update)})
    _check_criteria(found)
    for task in config.tasks.values():
        if settings.greedy is not None:
            check_components(Component(task.rollout.target, settings.greedy, "evaluation.greedy", partial=True))
    check_components(settings.measures)
    keys = policy_keys(found)
    named: dict[str, str] = {
        **keys,
        "reference": found.reference,
        **({"evaluation.opponent": opponent} if opponent else {}),
    }
    check_models(iter(named.items()))
    check_models(named_models(settings.measures))
    check_artifacts(config.pipeline, [*named.values(), settings.measures])
    asked = {judge for name, task in found.tasks.items() for judge in (*task.judges, *found.also_judged(name))}
    notes = [
        f"evaluation.also_judge: {judge} is not asked, as judges=… does not choose it"
        for judge in settings.also_judge
        if judge not in asked
    ]
    if list(found.policies.values()) == [found.reference] and not artifacts(found.reference):
        notes.append(
            f"reference: {found.reference} is what is evaluated, so that its KL divergence is 0; name reference=…"
        )
    return found.noted(*notes)


def policy_keys(config: EvaluateConfig) -> dict[str, str]:
    """Key of the configuration → path, of each policy that is evaluated."""
    several = len(config.policies) > 1
    return {f"policies.{name}" if several else "model.path": path for name, path in config.policies.items()}


def _pass_at(config: EvaluateConfig) -> tuple[int, ...]:
    samples, given = config.evaluation.samples, config.evaluation.pass_at
    if given is None:
        return tuple(sorted({1, samples})) if samples else ()
    for k in given:
        if k > samples:
            raise UserError(
                f"evaluation.pass_at: pass@{k} needs {k} responses to a prompt, and evaluation.samples is {samples}"
            )
    return tuple(sorted(set(given)))


def _check_criteria(config: EvaluateConfig) -> None:
    asked = {name: (*task.judges, *config.also_judged(name)) for name, task in config.tasks.items()}
    judges = {judge for of_task in asked.values() for judge in of_task}
    check_names("evaluation.win_by", config.evaluation.win_by, {REWARD, GOLD, *judges})
    for criterion in config.evaluation.win_by:
        for name, task in config.tasks.items():
            if criterion == GOLD and task.gold is None:
                raise UserError(f"evaluation.win_by: the task {name} has no gold judge; leave out gold, or the task")
            if criterion not in (REWARD, GOLD, *asked[name]):
                raise UserError(
                    f"evaluation.win_by: the task {name} does not ask the judge {criterion}; "
                    f"add it to evaluation.also_judge"
                )
