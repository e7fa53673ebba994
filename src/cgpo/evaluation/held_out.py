"""Evaluation of a policy on a task's held-out prompts during training: one response to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from cgpo.distributed.process_group import ALONE, Processes
from cgpo.distributed.sharding import gathered_weights
from cgpo.evaluation.assessment import assess, merge_assessments
from cgpo.protocols import Policy, RewardModel
from cgpo.seeds import derived_seed
from cgpo.tasks.expert import Expert
from cgpo.types import Outcome, Prompt, Rollout, Verdict, Verdicts


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one response to each held-out prompt.

    Attributes:
        prompts: the number of prompts.
        success: the share of responses that satisfy the task's gold judge; `None` if it has none.
        reward: the mean raw reward.
        kl: the mean of `log π_w(a|s) − log π_ref(a|s)` over the sampled responses, an unbiased estimate of the KL
            divergence from the reference, in nats a response; `None` if `kl_missing` gives a reason.
        length: the mean number of tokens of a response.
        violation_rate: for each judge the share of violations among the responses that it judged.
        satisfied_rate: the share of responses that pass every applicable judge, among the decided ones.
        measures: the means of further numbers, by name.
        kl_missing: the reason why there is no estimate of the KL divergence, in words.
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
    """An evaluation with the responses behind it.

    Attributes:
        result: the numbers.
        rollout: the `N` responses.
        reward: `[N]`, their raw rewards.
        log_ratio: `[N]`, their log-ratios to the reference in nats.
        verdicts: the verdicts of the task's own judges.
        gold: the gold judge's verdicts; `None` if the task has none.
    """

    result: Evaluation
    rollout: Rollout
    reward: Tensor
    log_ratio: Tensor
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
    """Samples one response to each prompt and evaluates them.

    The samples depend on the seed and the prompt's place but not on the progress of training, so that two evaluations
    of a run differ only by the policy. Each of several processes takes some of the prompts, and all get the whole.

    Args:
        policy: the policy to evaluate.
        reference: the policy that the KL divergence is measured from.
        expert: the task.
        prompts: at least one prompt.
        seed: the seed of the run.
        measures: further numbers of a response, whose means are reported; training never sees them.
        max_tokens: the budget of one forward pass in tokens.
        processes: the processes that share the prompts.
    """
    own = processes.places(len(prompts))
    seeds = [derived_seed(seed, "evaluation", expert.name, place) for place in own]
    with gathered_weights(policy.model):
        rollout = expert.sampler.sample(policy, [prompts[place] for place in own], 1, seeds)
    found = assess(policy, reference, expert, rollout, measures, max_tokens)
    if processes.size > 1:
        places = [processes.places(len(prompts), rank=rank) for rank in range(processes.size)]
        found = merge_assessments(processes.objects(found.to("cpu")), places)
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
        kl_missing=_truncated(rollout.truncation) if rollout.truncation else None,
    )
    return Evaluated(result, rollout, found.reward, found.log_ratio, found.verdicts, found.gold)


def share(verdicts: Sequence[Verdict], counted: Outcome, other: Outcome) -> float | None:
    """Returns the share of one outcome among those of two, or `None` if neither occurs."""
    outcomes = [verdict.outcome for verdict in verdicts]
    return _rate(outcomes.count(counted), outcomes.count(counted) + outcomes.count(other))


def _truncated(how: str) -> str:
    return f"responses were drawn with {how}, not from the whole distribution"


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
