"""Responses to a task's prompts with their rewards, verdicts and divergences, from one process or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from cgpo.distributed.sharding import gathered_weights, models_of
from cgpo.errors import UserError
from cgpo.judges.panel.panel import Panel
from cgpo.policy.logprobs import batched_logprobs, rollout_responses
from cgpo.protocols import Policy, RewardModel
from cgpo.tasks.expert import Expert
from cgpo.tensors import masked_sum, widen
from cgpo.types import Carrier, Rollout, Verdict, Verdicts

T = TypeVar("T")


@dataclass(frozen=True)
class Assessment(Carrier):
    """`N` responses to a task's prompts with everything that is computed of them.

    Attributes:
        rollout: the responses.
        reward: `[N]`, the raw reward.
        verdicts: the verdicts of the task's own judges.
        also: the verdicts of judges that are not constraints of the task.
        log_ratio: `[N]`, `log π_w(a|s) − log π_ref(a|s)` in nats; `None` without a reference.
        gold: the gold judge's verdicts; `None` if the task has none.
        measures: further numbers by name, `[N]` each.
    """

    rollout: Rollout
    reward: Tensor
    verdicts: Verdicts
    also: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict[str, tuple[Verdict, ...]])
    log_ratio: Tensor | None = None
    gold: Sequence[Verdict] | None = None
    measures: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


def assess(
    policy: Policy,
    reference: Policy | None,
    expert: Expert,
    rollout: Rollout,
    measures: Mapping[str, RewardModel] | None = None,
    max_tokens: int = 8192,
) -> Assessment:
    """Scores and judges a policy's responses; judges work while rewards and log-ratios are computed.

    Args:
        policy: the policy that gave the responses.
        reference: the policy that log-ratios are taken to, at the sampling temperature; `None` for no log-ratios.
        expert: the task.
        rollout: the responses.
        measures: further numbers of a response, by name.
        max_tokens: the budget of one forward pass in tokens.

    Raises:
        UserError: a reward is not finite.
    """
    samples = rollout.samples
    own = expert.panel.submit(samples)
    also = None if expert.also is None else expert.also.submit(samples)
    gold = None if expert.gold is None else Panel({"gold": expert.gold}, on_error="raise").submit(samples)
    with gathered_weights(*models_of(expert.reward)):
        reward = expert.reward.score(samples)
    if not reward.isfinite().all():
        raise UserError(f"tasks.{expert.name}.reward: the reward model answered a reward that is not finite")
    log_ratio = None if reference is None else log_ratios(policy, reference, rollout, max_tokens)
    verdicts = own.result()
    return Assessment(
        rollout=rollout,
        reward=reward,
        verdicts=verdicts,
        also={} if also is None else also.result().by_judge,
        log_ratio=log_ratio,
        gold=None if gold is None else gold.result().by_judge["gold"],
        measures={name: measure.score(samples) for name, measure in (measures or {}).items()},
    )


def log_ratios(policy: Policy, reference: Policy, rollout: Rollout, max_tokens: int) -> Tensor:
    """Computes `log π_w(a|s) − log π_ref(a|s)` of each response at the sampling temperature, `[N]`.

    Their mean over responses that were sampled without a top-p or top-k cut is an unbiased estimate of the KL
    divergence of the policy from the reference, in nats a response.

    Args:
        policy: the policy that gave the responses.
        reference: the reference policy.
        rollout: the responses.
        max_tokens: the budget of one forward pass in tokens.
    """
    responses = rollout_responses(rollout)
    of_reference = batched_logprobs(
        reference.model,
        responses.prompt_ids,
        responses.ids,
        responses.mask,
        rollout.temperature,
        policy.pad_id,
        max_tokens,
    )
    return masked_sum(rollout.logprobs - of_reference, responses.mask)


def merge_assessments(parts: Sequence[Assessment], places: Sequence[Sequence[int]]) -> Assessment:
    """Merges the assessments of several processes, each with one response to each of its prompts.

    Args:
        parts: the assessment of each process.
        places: for each part, the places of its prompts among all prompts.

    Returns:
        The assessment of all prompts in their order.
    """
    flat = [place for part in places for place in part]
    order = sorted(range(len(flat)), key=flat.__getitem__)

    def rows(values: Sequence[Sequence[T]]) -> tuple[T, ...]:
        concatenated = [value for part in values for value in part]
        return tuple(concatenated[i] for i in order)

    def tensors(values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values))[order]

    rollouts, verdicts = [part.rollout for part in parts], [part.verdicts for part in parts]
    width = max(rollout.response_ids.shape[1] for rollout in rollouts)
    golds = [part.gold for part in parts if part.gold is not None]
    ratios = [part.log_ratio for part in parts if part.log_ratio is not None]
    return Assessment(
        rollout=Rollout(
            prompts=rows([r.prompts for r in rollouts]),
            prompt_ids=rows([r.prompt_ids for r in rollouts]),
            responses=rows([r.responses for r in rollouts]),
            response_ids=tensors([widen(r.response_ids, width) for r in rollouts]),
            response_mask=tensors([widen(r.response_mask, width) for r in rollouts]),
            logprobs=tensors([widen(r.logprobs, width) for r in rollouts]),
            finished=tensors([r.finished for r in rollouts]),
            temperature=rollouts[0].temperature,
            truncation=rollouts[0].truncation,
        ),
        reward=tensors([part.reward for part in parts]),
        verdicts=Verdicts(
            by_judge={judge: rows([v.by_judge[judge] for v in verdicts]) for judge in verdicts[0].by_judge},
            satisfied=tensors([v.satisfied for v in verdicts]),
            decided=tensors([v.decided for v in verdicts]),
            seconds={judge: max(v.seconds[judge] for v in verdicts) for judge in verdicts[0].seconds},
            cached={judge: sum(v.cached[judge] for v in verdicts) for judge in verdicts[0].cached},
        ),
        also={judge: rows([part.also[judge] for part in parts]) for judge in parts[0].also},
        log_ratio=tensors(ratios) if ratios else None,
        gold=rows(golds) if golds else None,
        measures={name: tensors([part.measures[name] for part in parts]) for name in parts[0].measures},
    )
