"""From a plan to objects: `instantiate` is called here and nowhere below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from cgpo.composition.plan import Config
from cgpo.data.fit import fits_context
from cgpo.data.mixture import Mixture
from cgpo.data.source import PromptSource, PromptSplits
from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy
from cgpo.protocols import Judge, RewardModel
from cgpo.stages.artifacts import ArtifactStore, references
from cgpo.tasks.expert import Expert
from cgpo.types import Prompt

Announce = Callable[[str], None]


def make(config: Any) -> Any:
    """The object of a configuration without references; nested ones included."""
    return instantiate(config, _convert_="all")


def check_values(plan: Config) -> None:
    """Makes, and drops, what is cheap to make: a wrong value is found before anything dear is built.

    Raises:
        UserError: naming what is wrong.
    """
    for task in plan["tasks"].values():
        make(task["optimizer"])
        make(task["rollout"])
    for recipe in plan["pipeline"].values():
        if not references(recipe):
            make(recipe)


def load_prompts(plan: Config) -> dict[str, PromptSplits]:
    """Each task's prompts.

    Raises:
        UserError: a row does not fit, or a task has none.
    """
    sources: dict[str, PromptSource] = {name: make(config) for name, config in plan["data"].items()}
    prompts: dict[str, PromptSplits] = {}
    for name, task in plan["tasks"].items():
        if not task["data"]:
            raise UserError(f"tasks.{name}.data: the task has no prompts to train on; name at least one source")
        prompts[name] = Mixture({source: sources[source] for source in task["data"]}).load()
    return prompts


def artifact_store(plan: Config, announce: Announce) -> ArtifactStore:
    """The folder of what the pipeline builds."""
    return ArtifactStore(Path(plan["cache_dir"]).expanduser(), plan["pipeline"], make, announce)


def build_experts(
    plan: Config, prompts: Mapping[str, PromptSplits], policy: CausalPolicy, announce: Announce
) -> list[Expert]:
    """The tasks of a plan whose references are resolved, in the plan's order.

    Prompts that leave the policy's context no room for a response are left out, and counted.

    Raises:
        UserError: a value is out of its range, or a prompt lacks what a judge needs.
    """
    rewards: dict[str, RewardModel] = {name: make(config) for name, config in plan["reward"].items()}
    judges: dict[str, Judge] = {name: make(config) for name, config in plan["judges"].items()}
    experts = []
    for name, task in plan["tasks"].items():
        named = {judge: judges[judge] for judge in task["judges"]}
        _validate(prompts[name], named)
        sampler = make(task["rollout"])
        limit = policy.context_length - sampler.max_new_tokens
        train = _fitting(name, prompts[name].train, policy, limit, announce)
        experts.append(
            Expert(
                name=name,
                prompts=train,
                held_out=_fitting(name, prompts[name].held_out, policy, limit, announce),
                reward=rewards[task["reward"][0]],
                panel=make({**plan["panel"], "judges": named}),
                optimizer=make(task["optimizer"]),
                sampler=sampler,
                batch_size=task["batch_size"],
                responses_per_prompt=task["responses_per_prompt"],
                weight=task["weight"],
                gold=make(task["gold"]) if task["gold"] else None,
            )
        )
    return experts


def _validate(splits: PromptSplits, judges: Mapping[str, Any]) -> None:
    """Asks judges that can tell whether each row has what they need: at load time rather than in the middle."""
    for judge in judges.values():
        validate = getattr(judge, "validate", None)
        if validate is not None:
            for prompt in (*splits.train, *splits.held_out):
                validate(prompt.metadata, prompt.key)


def _fitting(
    task: str, prompts: tuple[Prompt, ...], policy: CausalPolicy, limit: int, announce: Announce
) -> tuple[Prompt, ...]:
    kept, left_out = fits_context(prompts, policy.encode_prompt, limit)
    if left_out:
        announce(f"{task}: {left_out} of {len(prompts)} prompts left out: longer than the {limit} tokens the context has room for")
    return kept
