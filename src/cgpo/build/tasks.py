"""From a plan to the tasks of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cgpo.build.artifacts import Announce
from cgpo.build.components import make, try_to_make
from cgpo.build.panels import build_panel
from cgpo.build.plan import Config
from cgpo.data.source import Mixture, PromptSource, PromptSplits, fits_context
from cgpo.errors import UserError
from cgpo.judges.base import check_judge
from cgpo.models.chat import Reader
from cgpo.protocols import RewardModel
from cgpo.stages.artifacts import references
from cgpo.tasks.expert import Expert
from cgpo.types import Prompt


def load_prompts(plan: Config) -> dict[str, PromptSplits]:
    """Each task's prompts.

    Raises:
        UserError: a row does not fit, lacks what a judge needs, or a task has none.
    """
    sources: dict[str, PromptSource] = {name: make(config) for name, config in plan["data"].items()}
    prompts: dict[str, PromptSplits] = {}
    for name, task in plan["tasks"].items():
        if not task["data"]:
            raise UserError(f"tasks.{name}.data: the task has no prompts to train on; name at least one source")
        prompts[name] = Mixture({source: sources[source] for source in task["data"]}).load()
    _check_prompts(plan, prompts)
    return prompts


def build_experts(
    plan: Config, prompts: Mapping[str, PromptSplits], policy: Reader, announce: Announce
) -> list[Expert]:
    """The tasks of a plan whose references are resolved, in the plan's order.

    Prompts that leave the policy's context no room for a response are left out, and counted.

    Raises:
        UserError: a value is out of its range.
    """
    rewards: dict[str, RewardModel] = {name: make(config) for name, config in plan["reward"].items()}
    judges = {name: check_judge(f"judges.{name}", make(config)) for name, config in plan["judges"].items()}
    panel = build_panel(plan["panel"], judges, plan["judges"])
    experts = []
    for name, task in plan["tasks"].items():
        sampler = make(task["rollout"])
        limit = policy.context_length - sampler.max_new_tokens
        train = _fitting(name, prompts[name].train, policy, limit, announce)
        experts.append(
            Expert(
                name=name,
                prompts=train,
                held_out=_fitting(name, prompts[name].held_out, policy, limit, announce),
                reward=rewards[task["reward"][0]],
                panel=panel.of(task["judges"]),
                optimizer=make(task["optimizer"]),
                sampler=sampler,
                batch_size=task["batch_size"],
                responses_per_prompt=task["responses_per_prompt"],
                weight=task["weight"],
                gold=make(task["gold"]) if task["gold"] else None,
                also=panel.of(task["also_judge"]) if task["also_judge"] else None,
            )
        )
    return experts


def close_panels(experts: Iterable[Expert]) -> None:
    """Closes the panels that hold processes or connections."""
    for expert in experts:
        expert.panel.close()
        if expert.also is not None:
            expert.also.close()


def _check_prompts(plan: Config, prompts: Mapping[str, PromptSplits]) -> None:
    """Makes the judges that need nothing of the pipeline, and shows each row to those that can tell what they need."""
    for name, config in plan["judges"].items():
        if references(config):
            continue
        judge = check_judge(f"judges.{name}", try_to_make(f"judges.{name}", config))
        try:
            for prompt in _prompts_judged_by(name, plan, prompts):
                judge.check_prompt(prompt)
        finally:
            judge.close()


def _prompts_judged_by(judge: str, plan: Config, prompts: Mapping[str, PromptSplits]) -> Iterator[Prompt]:
    for name, task in plan["tasks"].items():
        if judge in task["judges"]:
            yield from prompts[name].train
        if judge in (*task["judges"], *task["also_judge"]):
            yield from prompts[name].held_out


def _fitting(
    task: str, prompts: tuple[Prompt, ...], policy: Reader, limit: int, announce: Announce
) -> tuple[Prompt, ...]:
    kept, left_out = fits_context(prompts, policy.encode_prompt, limit)
    if left_out:
        room = f"longer than the {limit} tokens the context has room for"
        announce(f"{task}: {left_out} of {len(prompts)} prompts left out: {room}")
    return kept
