"""Evaluation of a policy on a task's held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from cgpo.distributed.process_group import ALONE, Processes
from cgpo.distributed.sharding import gathered_weights
from cgpo.evaluation.assessment import Assessment, assess
from cgpo.protocols import Policy, RewardModel
from cgpo.seeds import derived_seed
from cgpo.tasks.expert import Expert
from cgpo.types import Outcome, Prompt, Rollout, Verdict, Verdicts

T = TypeVar("T")


def together(parts: Sequence[Assessment], places: Sequence[Sequence[int]]) -> Assessment:
    """One assessment of several, with one response to each prompt.

    Args:
        parts: of each process.
        places: for each part, the places of its prompts among all.
    """
    flat = [place for part in places for place in part]
    order = sorted(range(len(flat)), key=flat.__getitem__)

    def rows(values: Sequence[Sequence[T]]) -> tuple[T, ...]:
        joined = [value for part in values for value in part]
        return tuple(joined[i] for i in order)

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
            response_ids=tensors([_wide(r.response_ids, width) for r in rollouts]),
            response_mask=tensors([_wide(r.response_mask, width) for r in rollouts]),
            logprobs=tensors([_wide(r.logprobs, width) for r in rollouts]),
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


def _wide(tensor: Tensor, width: int) -> Tensor:
    return pad(tensor, (0, width - tensor.shape[1]))


@dataclass(frozen=True)
class Evaluation:
    """What one response to each held-out prompt shows.

    Attributes:
        prompts: how many were asked.
        success: share of responses that the task's gold judge finds satisfied; `None` where there is none.
        reward: mean raw reward.
        kl: mean of `log π_w(a|s) − log π_ref(a|s)` over the sampled responses: an unbiased estimate of the
            KL divergence from the reference, in nats a response; `None` where `kl_missing` says why there is none.
        length: mean tokens of a response.
        violation_rate: for each judge the share of violated among the responses it judged.
        satisfied_rate: share of responses that pass every applicable judge, among the decided.
        measures: means of further numbers, by name.
        kl_missing: why there is no estimate of the KL divergence, in words.
    """

    prompts: int
    success: float | None
    reward: float
    kl: float | None
    length: float
    violation_rate: Mapping[str, float | None]
    satisfied_rate: float | None
    measures: Mapping[str, float]
    kl_missing: str | None = None


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with the responses behind it: `reward` is `[N]`, `gold` the gold verdicts or `None`."""

    result: Evaluation
    rollout: Rollout
    reward: torch.Tensor
    log_ratio: torch.Tensor
    verdicts: Verdicts
    gold: Sequence[Verdict] | None


def evaluate(
    policy: Policy,
    reference: Policy,
    expert: Expert,
    prompts: Sequence[Prompt],
    seed: int,
    measures: Mapping[str, RewardModel] | None = None,
    max_tokens: int = 8192,
    processes: Processes = ALONE,
) -> Evaluated:
    """Draws one response to each prompt and says how good they are.

    The draws depend on the seed and the prompt's place, not on how far training has come, so that two evaluations of
    one run differ by the policy alone. Of several processes each takes some prompts, and all get the whole.

    Args:
        policy: what is evaluated.
        reference: what the KL divergence is taken from.
        expert: the task.
        prompts: at least one.
        seed: of the run.
        measures: further numbers of a response, of which the means are reported; training never sees them.
        max_tokens: budget of one forward pass.
        processes: that share the prompts.
    """
    own = processes.places(len(prompts))
    seeds = [derived_seed(seed, "evaluation", expert.name, place) for place in own]
    with gathered_weights(policy.model):
        rollout = expert.sampler.sample(policy, [prompts[place] for place in own], 1, seeds)
    found = assess(policy, reference, expert, rollout, measures, max_tokens)
    if processes.size > 1:
        places = [processes.places(len(prompts), rank=rank) for rank in range(processes.size)]
        found = together(processes.objects(found.to("cpu")), places)
    rollout = found.rollout
    assert found.log_ratio is not None
    result = Evaluation(
        prompts=len(prompts),
        success=None if found.gold is None else share(found.gold, Outcome.SATISFIED, Outcome.VIOLATED),
        reward=found.reward.mean().item(),
        kl=None if rollout.truncation else found.log_ratio.mean().item(),
        length=rollout.response_mask.sum(-1).float().mean().item(),
        violation_rate={
            name: share(given, Outcome.VIOLATED, Outcome.SATISFIED) for name, given in found.verdicts.by_judge.items()
        },
        satisfied_rate=_rate(int(found.verdicts.satisfied.sum()), int(found.verdicts.decided.sum())),
        measures={name: values.mean().item() for name, values in found.measures.items()},
        kl_missing=f"responses were drawn with {rollout.truncation}, not from the whole distribution"
        if rollout.truncation
        else None,
    )
    return Evaluated(result, rollout, found.reward, found.log_ratio, found.verdicts, found.gold)


def share(verdicts: Sequence[Verdict], counted: Outcome, other: Outcome) -> float | None:
    """Share of one outcome among those of two; `None` where neither occurs."""
    outcomes = [verdict.outcome for verdict in verdicts]
    return _rate(outcomes.count(counted), outcomes.count(counted) + outcomes.count(other))


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
