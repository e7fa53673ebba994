"""From a configuration to the tasks of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cgpo.build.artifacts import Announce
from cgpo.build.objects import make
from cgpo.build.panels import build_panel
from cgpo.config import TrainConfig, artifacts
from cgpo.data.source import Mixture, PromptSource, PromptSplits, fits_context
from cgpo.judges.base import Judge, check_judge
from cgpo.models.chat import PromptEncoder
from cgpo.protocols import RewardModel
from cgpo.tasks.expert import Expert
from cgpo.types import Prompt


def load_prompts(config: TrainConfig) -> dict[str, PromptSplits]:
    """Each task's prompts.

    Raises:
        UserError: a row does not fit, or lacks what a judge needs.
    """
    sources: dict[str, PromptSource] = make(config.data)
    prompts = {
        name: Mixture({source: sources[source] for source in task.data}).load() for name, task in config.tasks.items()
    }
    _check_prompts(config, prompts)
    return prompts


def build_experts(
    config: TrainConfig, prompts: Mapping[str, PromptSplits], policy: PromptEncoder, announce: Announce
) -> list[Expert]:
    """The tasks of a configuration whose references are resolved, in its order.

    Prompts that leave the policy's context no room for a response are left out, and counted.

    Raises:
        UserError: a value is out of its range.
    """
    rewards: dict[str, RewardModel] = make(config.reward)
    judges = {name: check_judge(f"judges.{name}", make(judge)) for name, judge in config.judges.items()}
    panel = build_panel(config.panel, judges, config.judges)
    experts: list[Expert] = []
    for name, task in config.tasks.items():
        sampler = make(task.rollout)
        limit = policy.context_length - sampler.max_new_tokens
        also = config.also_judged(name)
        experts.append(
            Expert(
                name=name,
                prompts=_fitting(name, prompts[name].train, policy, limit, announce),
                held_out=_fitting(name, prompts[name].held_out, policy, limit, announce),
                reward=rewards[task.reward],
                panel=panel.of(task.judges),
                optimizer=make(task.optimizer),
                sampler=sampler,
                batch_size=task.batch_size,
                responses_per_prompt=task.responses_per_prompt,
                weight=task.weight,
                gold=make(task.gold),
                also=panel.of(also) if also else None,
            )
        )
    return experts


def close_panels(experts: Iterable[Expert]) -> None:
    """Closes the panels that hold processes or connections."""
    for expert in experts:
        expert.panel.close()
        if expert.also is not None:
            expert.also.close()


def _check_prompts(config: TrainConfig, prompts: Mapping[str, PromptSplits]) -> None:
    """Makes the judges that need nothing of the pipeline, and shows each row to those that can tell what they need."""
    for name, component in config.judges.items():
        if artifacts(component):
            continue
        judge: Judge = check_judge(f"judges.{name}", make(component))
        try:
            for prompt in _prompts_judged_by(name, config, prompts):
                judge.check_prompt(prompt)
        finally:
            judge.close()


def _prompts_judged_by(judge: str, config: TrainConfig, prompts: Mapping[str, PromptSplits]) -> Iterator[Prompt]:
    for name, task in config.tasks.items():
        if judge in task.judges:
            yield from prompts[name].train
        if judge in (*task.judges, *config.also_judged(name)):
            yield from prompts[name].held_out


def _fitting(
    task: str, prompts: tuple[Prompt, ...], policy: PromptEncoder, limit: int, announce: Announce
) -> tuple[Prompt, ...]:
    kept, left_out = fits_context(prompts, policy.encode_prompt, limit)
    if left_out:
        room = f"longer than the {limit} tokens the context has room for"
        announce(f"{task}: {left_out} of {len(prompts)} prompts left out: {room}")
    return kept
