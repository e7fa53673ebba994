"""Responses to held-out prompts, with all that is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from cgpo.distributed.sharding import gathered_weights, models_of
from cgpo.errors import UserError
from cgpo.judges.panel.panel import Panel
from cgpo.policy.logprobs import batched_logprobs, rollout_responses
from cgpo.protocols import Policy, RewardModel, Sampler
from cgpo.tasks.expert import Expert
from cgpo.tensors import masked_sum
from cgpo.types import Carrier, Prompt, Rollout, Verdict, Verdicts


@dataclass(frozen=True)
class Assessment(Carrier):
    """`N` responses to a task's prompts and what is said of them.

    Attributes:
        rollout: the responses.
        reward: `[N]` raw reward.
        verdicts: of the task's own judges.
        also: verdicts of the judges that are asked without being constraints of the task.
        log_ratio: `[N]` `log π_w(a|s) − log π_ref(a|s)` in nats; `None` where no reference was given.
        gold: the gold judge's verdicts, or `None` where the task has none.
        measures: `[N]` each, further numbers by name.
    """

    rollout: Rollout
    reward: Tensor
    verdicts: Verdicts
    also: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict)
    log_ratio: Tensor | None = None
    gold: Sequence[Verdict] | None = None
    measures: Mapping[str, Tensor] = field(default_factory=dict)


def assess(
    policy: Policy,
    reference: Policy | None,
    expert: Expert,
    rollout: Rollout,
    measures: Mapping[str, RewardModel] | None = None,
    max_tokens: int = 8192,
) -> Assessment:
    """Scores and judges a policy's responses; judges work while the rewards and the reference are computed.

    Args:
        policy: what drew the responses.
        reference: what the log-ratio is taken to, at the sampling temperature; `None` for no log-ratio.
        expert: the task.
        rollout: the responses.
        measures: further numbers of a response, by name.
        max_tokens: budget of one forward pass.

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
    """`[N]` `log π_w(a|s) − log π_ref(a|s)` of each response, at the sampling temperature.

    Their mean over responses that were sampled without a top-p or top-k cut is an unbiased estimate of the KL
    divergence of the policy from the reference, in nats a response.
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


@dataclass(frozen=True)
class Decoding:
    """One way of drawing responses.

    Attributes:
        sampler: what draws.
        copies: responses to each prompt.
    """

    sampler: Sampler
    copies: int

    @property
    def exact(self) -> bool:
        """Whether the policy's own distribution is sampled: at temperature 1, without a cut."""
        whole = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
        return all(getattr(self.sampler, name, value) == value for name, value in whole.items())


@dataclass(frozen=True)
class HeldOutTask:
    """A task's held-out prompts and the ways in which responses to them are drawn.

    Attributes:
        expert: the task.
        prompts: `P` of them.
        drawings: by mode: `sampled`, `greedy`.
    """

    expert: Expert
    prompts: tuple[Prompt, ...]
    drawings: Mapping[str, Decoding]
