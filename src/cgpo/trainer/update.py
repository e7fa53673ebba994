"""The constrained step of one task: its objective, and the gradient of that objective on the policy's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy
from cgpo.policy.critic import Critic
from cgpo.policy.head import precision
from cgpo.policy.logprobs import response_logprobs
from cgpo.policy.micro_batches import in_micro_batches, packed_batches, snug_batches
from cgpo.policy.packing import packed_logprobs, require_packing
from cgpo.policy.reference import on_its_device
from cgpo.policy.responses import Responses, baseline_responses, rollout_responses
from cgpo.policy.sharding import gathered, is_sharded
from cgpo.processes import ALONE, Processes
from cgpo.protocols import Policy
from cgpo.tasks.baseline import BaselineResponse, rewards_of, satisfied_of
from cgpo.tasks.expert import Expert
from cgpo.types import Baseline, Objective, Outcome, Rollout, Scored, Verdict, Verdicts


@dataclass(frozen=True)
class Pass:
    """What a model says of responses, and how they are put to it.

    Attributes:
        model: is run.
        numbers: of some prompts, `[n, T]` response tokens and `[n, T]` mask: a number a token, `[n, T]`.
        batches: cuts lengths into micro-batches of so many tokens.
    """

    model: nn.Module
    numbers: Callable[[Sequence[Sequence[int]], Tensor, Tensor], Tensor]
    batches: Callable[[Sequence[int], int], list[list[int]]]


@dataclass(frozen=True)
class Forward:
    """What forward passes say of a batch, without gradients.

    Attributes:
        current: `[N, T]` token log-probabilities under the current policy.
        reference: `[N, T]` under the reference.
        baseline: `[B, T']` of the baseline responses under the current policy; `[B, 1]` where nobody asks for them.
        baseline_mask: `[B, T']` bool.
        values: `[N, T]` of the critic, where there is one.
    """

    current: Tensor
    reference: Tensor
    baseline: Tensor
    baseline_mask: Tensor
    values: Tensor | None


@dataclass
class ConstrainedUpdate:
    """Differentiates a task's objective in two parts, so that micro-batches change nothing.

    An objective is a function of the batch's log-probabilities alone (and of a critic's values, where there is one).
    First it is differentiated by those, all at once and for the task's whole batch: one number a token. Then the
    policy is run again, micro-batch by micro-batch, and each token's log-probability is differentiated by the weights,
    times its number. That is the chain rule: the result is the same however the batch is cut, for any objective.
    Responses whose numbers are all 0 cost nothing.

    Attributes:
        max_tokens: budget of one micro-batch, in tokens with padding.
        recompute_logprobs: take the current policy's log-probabilities from a forward pass of their own instead of
            from the sampler: for samplers whose numbers differ from the policy's.
        packing: run the policy on rows of several responses without padding between them; a gain where attention takes
            time in proportion to each response (flash attention), a loss where it does not.
        epochs: steps that are taken on each rollout; the paper's optimizers take one.
        critic_learning_rate: of the critic, for objectives that need values; `None` for no critic.
        critic: the value function, once there is a policy to copy.
        processes: those that share the batch.

    Raises:
        UserError: a setting is out of its range.
    """

    max_tokens: int = 8192
    recompute_logprobs: bool = False
    packing: bool = False
    epochs: int = 1
    critic_learning_rate: float | None = None
    critic: Critic | None = field(default=None, init=False, repr=False)
    processes: Processes = field(default=ALONE, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UserError(f"update.epochs is {self.epochs}: it must be a whole number of at least 1")

    def attach(self, policy: CausalPolicy) -> Critic | None:
        """Makes the critic from the policy's weights, where one is wanted, and answers it.

        Raises:
            UserError: rows are to be packed, and the policy would read them as one text.
        """
        if self.packing:
            require_packing(policy.model)
        if self.critic_learning_rate is not None:
            self.critic = Critic(policy.model)
        return self.critic

    def forward(
        self, policy: Policy, reference: Policy, expert: Expert, rollout: Rollout, baselines: Sequence[str]
    ) -> Forward:
        """The forward passes that an objective needs; they wait for no verdict. `baselines` are `B` texts."""
        responses = rollout_responses(rollout)
        current = (
            self._logprobs(policy, responses, rollout.temperature) if self.recompute_logprobs else rollout.logprobs
        )
        fallback, mask = current.new_zeros(len(baselines), 1), current.new_zeros(len(baselines), 1).bool()
        if expert.optimizer.uses_baseline_logprobs:
            ends = baseline_responses(policy, rollout, baselines)
            fallback, mask = self._logprobs(policy, ends, rollout.temperature), ends.mask
        return Forward(
            current=current,
            reference=self._logprobs(reference, responses, rollout.temperature),
            baseline=fallback,
            baseline_mask=mask,
            values=self._values(policy, responses),
        )

    def score(
        self,
        rollout: Rollout,
        forward: Forward,
        reward: Tensor,
        verdicts: Verdicts,
        baselines: Sequence[BaselineResponse],
    ) -> Scored:
        """The batch as the optimizer sees it; `reward` is `[N]`."""
        shape = (len(rollout.prompts), rollout.copies)
        tokens = (*shape, rollout.response_mask.shape[1])
        device = rollout.response_ids.device
        values = None if forward.values is None else forward.values.view(tokens)
        return Scored(
            logprobs=forward.current.view(tokens),
            reference_logprobs=forward.reference.view(tokens),
            sampled_logprobs=forward.current.view(tokens),
            response_mask=rollout.response_mask.view(tokens),
            reward=reward.to(device).view(shape),
            satisfied=verdicts.satisfied.to(device).view(shape),
            decided=verdicts.decided.to(device).view(shape),
            identity=_identity(rollout_responses(rollout), shape).to(device),
            baseline=Baseline(
                rewards_of(baselines).to(device),
                satisfied_of(baselines).to(device),
                forward.baseline,
                forward.baseline_mask,
            ),
            values=values,
            sampled_values=values,
            violated={judge: _violations(given).to(device).view(shape) for judge, given in verdicts.by_judge.items()},
        )

    def refresh(self, policy: Policy, rollout: Rollout, scored: Scored) -> Scored:
        """The same batch at the weights of now, for a further step on the same rollout."""
        responses = rollout_responses(rollout)
        values = self._values(policy, responses)
        return replace(
            scored,
            logprobs=self._logprobs(policy, responses, rollout.temperature).view_as(scored.logprobs),
            values=None if values is None else values.view_as(scored.logprobs),
        )

    def backward(
        self,
        policy: Policy,
        expert: Expert,
        rollout: Rollout,
        scored: Scored,
        baselines: Sequence[BaselineResponse],
        backward: Callable[[Tensor], None],
        rows: Tensor | None = None,
    ) -> Objective:
        """Adds `ρ_l` times the objective's gradient to the weights of the policy, and of the critic.

        Of several processes each adds the part of its own responses: their sum is the gradient.

        Args:
            policy: whose weights get the gradient.
            expert: the task.
            rollout: the responses of this process, to `b` prompts.
            scored: the task's whole batch, as the optimizer sees it.
            baselines: the `b` prompts' baseline responses.
            backward: runs the backward pass of a scalar (`LightningModule.manual_backward`).
            rows: `[b]` which rows of the whole batch are this process's; `None` for all.

        Returns:
            The objective, detached.
        """
        own = scored.logprobs.detach().requires_grad_()
        fallback = scored.baseline.logprobs.detach().requires_grad_()
        values = None if scored.values is None else scored.values.detach().requires_grad_()
        objective = expert.optimizer(
            replace(scored, logprobs=own, values=values, baseline=replace(scored.baseline, logprobs=fallback))
        )
        leaves = [own, fallback] if values is None else [own, fallback, values]
        weights = torch.autograd.grad(objective.loss, leaves, allow_unused=True)
        own_weights = [None if w is None else w if rows is None else w[rows.to(w.device)] for w in weights]
        responses = rollout_responses(rollout)
        logprobs = self._policy_pass(policy, rollout.temperature)
        self._accumulate(logprobs, responses, own_weights[0], expert.weight, backward)
        if expert.optimizer.uses_baseline_logprobs:
            ends = baseline_responses(policy, rollout, [baseline.text for baseline in baselines])
            self._accumulate(logprobs, ends, own_weights[1], expert.weight, backward)
        if self.critic is not None and values is not None:
            critic = self._critic_pass(policy)
            self._accumulate(critic, responses, own_weights[2], expert.weight, backward)
        return Objective(objective.loss.detach(), objective.metrics)

    def _accumulate(
        self,
        forward: Pass,
        responses: Responses,
        weights: Tensor | None,
        scale: float,
        backward: Callable[[Tensor], None],
    ) -> None:
        """Differentiates `Σ weights · numbers(responses)`, micro-batch by micro-batch."""
        if weights is None:
            return
        # Other processes' responses may be longer.
        weights = weights.flatten(0, -2)[:, : responses.ids.shape[1]]
        rows = (weights != 0).any(-1).nonzero().squeeze(-1).tolist()
        lengths = responses.lengths
        parts = forward.batches([lengths[i] for i in rows], self.max_tokens)
        idle = 0
        if is_sharded(forward.model):
            # Its pieces are gathered anew for each pass, by all processes at the same time.
            idle = self.processes.largest(len(parts)) - len(parts)
            scale *= self.processes.size  # FSDP takes the mean over processes
        for part in parts:
            chosen = [rows[i] for i in part]
            numbers = forward.numbers(*responses.of(chosen))
            backward(scale * (numbers * weights[chosen][:, : numbers.shape[1]]).sum())
        for _ in range(idle):
            backward(0.0 * forward.numbers(*_a_token(responses)).sum())

    def _policy_pass(self, policy: Policy, temperature: float) -> Pass:
        logprobs = packed_logprobs if self.packing else response_logprobs
        numbers = partial(logprobs, policy.model, temperature=temperature, pad_id=policy.pad_id)
        return Pass(
            policy.model, on_its_device(policy.model, numbers), packed_batches if self.packing else snug_batches
        )

    def _critic_pass(self, policy: Policy) -> Pass:
        assert self.critic is not None
        return Pass(self.critic, partial(self.critic, pad_id=policy.pad_id), snug_batches)

    def _logprobs(self, policy: Policy, responses: Responses, temperature: float) -> Tensor:
        return self._numbers(self._policy_pass(policy, temperature), responses)

    def _values(self, policy: Policy, responses: Responses) -> Tensor | None:
        return None if self.critic is None else self._numbers(self._critic_pass(policy), responses)

    def _numbers(self, forward: Pass, responses: Responses) -> Tensor:
        """Of all responses, without gradients; `[N, T]`."""
        rows = (responses.prompt_ids, responses.ids, responses.mask)
        with gathered(forward.model):
            found = in_micro_batches(forward.numbers, *rows, self.max_tokens, forward.batches)
        return found.to(precision(forward.model))


def _a_token(responses: Responses) -> tuple[list[Sequence[int]], Tensor, Tensor]:
    """The shortest that a model can be run on."""
    ids = responses.ids.new_zeros(1, 1)
    return [(0,)], ids, torch.ones_like(ids, dtype=torch.bool)


def _violations(verdicts: Sequence[Verdict]) -> Tensor:
    return torch.tensor([verdict.outcome is Outcome.VIOLATED for verdict in verdicts], dtype=torch.bool)


def _identity(responses: Responses, shape: tuple[int, int]) -> Tensor:
    """Within each prompt, the index of the first response with the same tokens; `[B, K]`."""
    rows = [tuple(ids[keep].tolist()) for ids, keep in zip(responses.ids, responses.mask, strict=True)]
    prompts, copies = shape
    groups = [rows[b * copies : (b + 1) * copies] for b in range(prompts)]
    return torch.tensor([[group.index(row) for row in group] for group in groups], dtype=torch.int64).view(shape)
