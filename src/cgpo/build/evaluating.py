"""From the configuration of the command that evaluates to what it works with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from omegaconf import DictConfig

from cgpo.build.artifacts import check_references, without_references
from cgpo.build.components import check_classes, make, try_to_make
from cgpo.build.models import check_model_paths
from cgpo.build.plan import Config, check_names, plan_of
from cgpo.build.policies import check_same_tokens, named_policies, policy_path
from cgpo.build.values import Rule, check_rules, whole
from cgpo.errors import UserError
from cgpo.evaluation.assessment import Decoding, HeldOutTask
from cgpo.evaluation.comparison import GREEDY, OPPONENT, SAMPLED, Settings
from cgpo.evaluation.win_rate import GOLD, REWARD
from cgpo.models.chat import ModelPromptEncoder, load_prompt_encoder
from cgpo.stages.artifacts import references
from cgpo.tasks.expert import Expert

KEYS = ("prompts", "samples", "greedy", "pass_at", "also_judge", "opponent", "win_by", "resamples", "keep", "measures")
RULES: dict[str, Rule] = {
    # One prompt says nothing of how much prompts differ.
    "prompts": whole(2),
    "samples": whole(0),
    "resamples": whole(100),
    "keep": (lambda value: value is None or whole(0)[0](value), "a whole number of at least 0, or null for all"),
    "greedy": (lambda value: value is None or isinstance(value, dict), "a mapping, or null for none"),
}


def evaluation_plan(config: DictConfig, judge_choices: Collection[str]) -> Config:
    """The plan of `cgpo.build.plan`, with policies by name and the evaluation's settings checked.

    Args:
        config: as Hydra composed it.
        judge_choices: names of the judges there are.

    Raises:
        UserError: naming the key and what it must be.
    """
    also = _names("evaluation.also_judge", config.evaluation.also_judge)
    check_names("evaluation.also_judge", also, {*map(str, config.judges), *judge_choices})
    plan = plan_of(config, judge_choices, also)
    settings = plan["evaluation"]
    check_names("evaluation", settings, KEYS, what="key")
    check_rules(settings, RULES, "evaluation.")
    settings["also_judge"] = also
    settings["pass_at"] = _pass_at(settings)
    settings["win_by"] = _names("evaluation.win_by", settings["win_by"])
    if not settings["samples"] and settings["greedy"] is None:
        raise UserError("evaluation: samples is 0 and greedy is null, so that nothing would be drawn; set one of them")
    _check_criteria(plan)
    _check_greedy(plan)
    plan["model"]["path"] = policy_path(plan["model"]["path"])
    plan["policies"] = named_policies(plan, reserved=OPPONENT)
    plan["reference"] = policy_path(plan["reference"] or plan["model"]["path"])
    if settings["opponent"] is not None:
        settings["opponent"] = policy_path(str(settings["opponent"]))
    _check_models(plan)
    return plan


def not_asked(plan: Config) -> list[str]:
    """The judges under `evaluation.also_judge` that the choice of `judges` leaves out."""
    asked = {judge for task in plan["tasks"].values() for key in ("judges", "also_judge") for judge in task[key]}
    return [judge for judge in plan["evaluation"]["also_judge"] if judge not in asked]


def model_readers(plan: Config) -> dict[str, ModelPromptEncoder]:
    """How the reference and each policy reads, by key of the configuration; references of the pipeline are left out.

    Raises:
        UserError: a model cannot be read, or reads other tokens than the reference.
    """
    named = {"reference": plan["reference"], **_policy_keys(plan)}
    readers = {key: load_prompt_encoder(path) for key, path in named.items() if not references([path])}
    if readers:
        check_same_tokens(readers, next(iter(readers)))
    return readers


def held_out(experts: Sequence[Expert], plan: Config) -> list[HeldOutTask]:
    """The tasks that have held-out prompts, and how responses to them are drawn.

    Raises:
        UserError: none of them has two.
    """
    settings = plan["evaluation"]
    found = []
    for expert in experts:
        rollout = plan["tasks"][expert.name]["rollout"]
        drawings = {}
        if settings["samples"]:
            drawings[SAMPLED] = Decoding(expert.sampler, settings["samples"])
        if settings["greedy"] is not None:
            drawings[GREEDY] = Decoding(make({**rollout, **settings["greedy"]}), 1)
        prompts = expert.held_out[: settings["prompts"]]
        if len(prompts) > 1:
            found.append(HeldOutTask(expert, prompts, drawings))
    if not found:
        raise UserError(
            f"tasks: {', '.join(e.name for e in experts)}: fewer than two held-out prompts each, so that there is "
            "nothing to evaluate on; hold some out, data.….holdout=100"
        )
    return found


def settings_of(plan: Config) -> Settings:
    """What is counted."""
    settings = plan["evaluation"]
    return Settings(
        seed=plan["seed"],
        pass_at=settings["pass_at"],
        win_by=settings["win_by"],
        resamples=settings["resamples"],
        measures=make(settings["measures"]),
        max_tokens=plan["update"].get("max_tokens", 8192),
    )


def _names(key: str, value: Any) -> list[str]:
    listed = [value] if isinstance(value, str) else list(value or [])
    for name in listed:
        if not isinstance(name, str):
            raise UserError(f"{key}: {name!r} is no name")
    return list(dict.fromkeys(listed))


def _pass_at(settings: Config) -> list[int]:
    samples, given = settings["samples"], settings["pass_at"]
    if given is None:
        return sorted({1, samples}) if samples else []
    listed = given if isinstance(given, list) else [given]
    for k in listed:
        if not whole(1)[0](k):
            raise UserError(f"evaluation.pass_at: {k!r} is no whole number of at least 1")
        if k > samples:
            raise UserError(
                f"evaluation.pass_at: pass@{k} needs {k} responses to a prompt, and evaluation.samples is {samples}"
            )
    return sorted(set(listed))


def _check_criteria(plan: Config) -> None:
    win_by, tasks = plan["evaluation"]["win_by"], plan["tasks"]
    judges = {judge for task in tasks.values() for key in ("judges", "also_judge") for judge in task[key]}
    check_names("evaluation.win_by", win_by, {REWARD, GOLD, *judges})
    for criterion in win_by:
        for name, task in tasks.items():
            if criterion == GOLD and not task["gold"]:
                raise UserError(f"evaluation.win_by: the task {name} has no gold judge; leave out gold, or the task")
            if criterion not in (REWARD, GOLD, *task["judges"], *task["also_judge"]):
                raise UserError(
                    f"evaluation.win_by: the task {name} does not ask the judge {criterion}; "
                    f"add it to evaluation.also_judge"
                )


def _check_greedy(plan: Config) -> None:
    greedy = plan["evaluation"]["greedy"]
    if greedy is None:
        return
    for task in plan["tasks"].values():
        sampler = {**task["rollout"], **greedy}
        check_classes("evaluation.greedy", sampler)
        for part, config in without_references("evaluation.greedy", sampler):
            try_to_make(part, config)


def _check_models(plan: Config) -> None:
    named = {"reference": plan["reference"], "evaluation.opponent": plan["evaluation"]["opponent"]}
    check_model_paths({**_policy_keys(plan), **named})
    check_references(plan["pipeline"], [plan["policies"], plan["evaluation"], plan["reference"]])
    check_classes("evaluation.measures", plan["evaluation"]["measures"])
    model_readers(plan)


def _policy_keys(plan: Config) -> dict[str, str]:
    policies = plan["policies"]
    return {f"policies.{name}" if len(policies) > 1 else "model.path": path for name, path in policies.items()}
