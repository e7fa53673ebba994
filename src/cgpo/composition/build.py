"""From a plan to objects: `instantiate` is called here and nowhere below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from cgpo.stages.artifacts import ArtifactStore
from cgpo.tasks.expert import Expert
from cgpo.types import Prompt

Announce = Callable[[str], None]


def make(config: Any) -> Any:
    """The object of a configuration without references; nested ones included."""
    return instantiate(config, _convert_="all")


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
    """The folder of what the pipeline builds.

    Raises:
        UserError: nothing can be written there.
    """
    folder = Path(plan["cache_dir"]).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cache_dir: {folder} cannot be made: {error.strerror}") from error
    return ArtifactStore(folder, plan["pipeline"], make, announce)


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


def close_panels(experts: Iterable[Expert]) -> None:
    """Closes the panels that hold processes or connections."""
    for expert in experts:
        close = getattr(expert.panel, "close", None)
        if close is not None:
            close()


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
        room = f"longer than the {limit} tokens the context has room for"
        announce(f"{task}: {left_out} of {len(prompts)} prompts left out: {room}")
    return kept
