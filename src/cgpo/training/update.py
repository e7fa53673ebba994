"""The constrained step of a task: its objective, and the gradient of that objective on the policy's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor

from cgpo.distributed.process_group import ALONE, Processes
from cgpo.errors import UserError
from cgpo.models.pretrained import is_on_meta_device
from cgpo.optimizer.base import OptimizerState
from cgpo.policy.causal import CausalPolicy
from cgpo.policy.critic import Critic
from cgpo.policy.logprobs import Responses, baseline_responses, require_packing, rollout_responses
from cgpo.protocols import Policy
from cgpo.tasks.baseline_responses import BaselineResponse, rewards_of, satisfied_of
from cgpo.tasks.expert import Expert
from cgpo.tensors import int_list
from cgpo.training.forward_passes import accumulate, critic_pass, policy_pass, token_values
from cgpo.types import Baseline, Objective, Outcome, Rollout, TrainingBatch, Verdict, Verdicts


@dataclass(frozen=True)
class UpdateInputs:
    """The responses that a task's update runs models on; they stay the same for all steps on a rollout.

    Attributes:
        responses: the `N` responses of the rollout.
        baselines: the `B` baseline responses; `None` if the objective is not differentiated by them.
        temperature: what logits are divided by, as in the rollout.
    """

    responses: Responses
    baselines: Responses | None
    temperature: float


@dataclass(frozen=True)
class Forward:
    """The results of forward passes on a batch, without gradients.

    Attributes:
        current: `[N, T]` token log-probabilities under the current policy.
        reference: `[N, T]` token log-probabilities under the reference.
        baseline: `[B, T']` those of the baseline responses under the current policy; `[B, 1]` if they are not needed.
        baseline_mask: `[B, T']` bool.
        values: `[N, T]` the critic's values, if there is a critic.
    """

    current: Tensor
    reference: Tensor
    baseline: Tensor
    baseline_mask: Tensor
    values: Tensor | None


@dataclass
class ConstrainedUpdate:
    """Differentiates a task's objective in two parts, so that micro-batches change nothing.

    An objective is a function of the batch's log-probabilities only (and of a critic's values, if there is one). First
    it is differentiated by those, all at once and for the task's whole batch, which gives one number per token. Then
    the policy is run again, micro-batch by micro-batch, and each token's log-probability is differentiated by the
    weights, times its number. By the chain rule the result is the same however the batch is divided, for any objective.
    Responses whose numbers are all 0 cost nothing.

    Attributes:
        max_tokens: the most tokens of a micro-batch, including padding.
        recompute_logprobs: whether the current policy's log-probabilities come from a forward pass of their own instead
            of the sampler, for samplers whose numbers differ from the policy's.
        packing: whether the policy is run on rows of several responses without padding between them. That is faster if
            attention takes time in proportion to each response (flash attention), and slower if it does not.
        epochs: the number of steps on each rollout; the paper's optimizers take one.
        critic_learning_rate: the critic's learning rate, for objectives that need values; `None` for no critic.
        critic: the value function, once there is a policy to copy.
        processes: the processes that share the batch.

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
        """Makes the critic from the policy's weights, if one is wanted, and returns it.

        Raises:
            UserError: rows are to be packed, but the policy would read them as one text.
        """
        if self.packing and not is_on_meta_device(policy.model):  # then the process that has the weights tries it
            require_packing(policy.model)
        if self.critic_learning_rate is not None:
            self.critic = Critic(policy.model)
        return self.critic

    def inputs(self, policy: Policy, expert: Expert, rollout: Rollout, baselines: Sequence[str]) -> UpdateInputs:
        """Puts together what models are run on.

        Args:
            policy: whose tokenizer reads the baseline responses.
            expert: the task.
            rollout: `N` responses to `B` prompts.
            baselines: the `B` prompts' baseline responses, as text.
        """
        uses_baselines = expert.optimizer.uses_baseline_logprobs
        return UpdateInputs(
            responses=rollout_responses(rollout),
            baselines=baseline_responses(policy, rollout, baselines) if uses_baselines else None,
            temperature=rollout.temperature,
        )

    def forward(self, policy: Policy, reference: Policy, rollout: Rollout, inputs: UpdateInputs) -> Forward:
        """Runs the forward passes that an objective needs; they wait for no verdict.

        Args:
            policy: the current policy.
            reference: the reference policy.
            rollout: the responses, with the sampler's log-probabilities.
            inputs: of the same rollout.
        """
        current = self._logprobs(policy, inputs.responses, inputs) if self.recompute_logprobs else rollout.logprobs
        baseline = current.new_zeros(len(rollout.prompts), 1)
        baseline_mask = torch.zeros_like(baseline, dtype=torch.bool)
        if inputs.baselines is not None:
            baseline, baseline_mask = self._logprobs(policy, inputs.baselines, inputs), inputs.baselines.mask
        return Forward(
            current=current,
            reference=self._logprobs(reference, inputs.responses, inputs),
            baseline=baseline,
            baseline_mask=baseline_mask,
            values=self._values(policy, inputs.responses),
        )

    def score(
        self,
        rollout: Rollout,
        inputs: UpdateInputs,
        forward: Forward,
        reward: Tensor,
        verdicts: Verdicts,
        baselines: Sequence[BaselineResponse],
    ) -> TrainingBatch:
        """Puts the batch together as the optimizer sees it; `reward` is `[N]`."""
        shape = (len(rollout.prompts), rollout.copies)
        tokens = (*shape, rollout.response_mask.shape[1])
        device = rollout.response_ids.device
        values = None if forward.values is None else forward.values.view(tokens)
        return TrainingBatch(
            logprobs=forward.current.view(tokens),
            reference_logprobs=forward.reference.view(tokens),
            sampled_logprobs=forward.current.view(tokens),
            response_mask=rollout.response_mask.view(tokens),
            reward=reward.to(device).view(shape),
            satisfied=verdicts.satisfied.to(device).view(shape),
            decided=verdicts.decided.to(device).view(shape),
            identity=_identity(inputs.responses, shape).to(device),
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

    def refresh(self, policy: Policy, inputs: UpdateInputs, training_batch: TrainingBatch) -> TrainingBatch:
        """Returns the same batch at the current weights, for a further step on the same rollout."""
        values = self._values(policy, inputs.responses)
        return replace(
            training_batch,
            logprobs=self._logprobs(policy, inputs.responses, inputs).view_as(training_batch.logprobs),
            values=None if values is None else values.view_as(training_batch.logprobs),
        )

    def backward(
        self,
        policy: Policy,
        expert: Expert,
        inputs: UpdateInputs,
        training_batch: TrainingBatch,
        state: OptimizerState,
        backward: Callable[[Tensor], None],
        rows: Tensor | None = None,
    ) -> tuple[Objective, OptimizerState]:
        """Adds `ρ_l` times the objective's gradient to the weights of the policy, and of the critic.

        Each of several processes adds the part of its own responses; their sum is the gradient.

        Args:
            policy: the policy whose weights get the gradient.
            expert: the task.
            inputs: the responses of this process, to `b` prompts.
            training_batch: the task's whole batch, as the optimizer sees it.
            state: the optimizer's state, see `cgpo.optimizer.StatefulOptimizer`.
            backward: runs the backward pass of a scalar (`LightningModule.manual_backward`).
            rows: `[b]` the rows of the whole batch that are this process's; `None` for all.

        Returns:
            The objective, detached, and the optimizer's next state.
        """
        own = training_batch.logprobs.detach().requires_grad_()
        fallback = training_batch.baseline.logprobs.detach().requires_grad_()
        values = None if training_batch.values is None else training_batch.values.detach().requires_grad_()
        baseline = replace(training_batch.baseline, logprobs=fallback)
        leaves_batch = replace(training_batch, logprobs=own, values=values, baseline=baseline)
        objective, next_state = expert.optimizer.advance(leaves_batch, state)
        leaves = [own, fallback] if values is None else [own, fallback, values]
        weights = cast("tuple[Tensor | None, ...]", torch.autograd.grad(objective.loss, leaves, allow_unused=True))
        own_weights = [None if w is None else w if rows is None else w[rows.to(w.device)] for w in weights]
        add = partial(accumulate, max_tokens=self.max_tokens, processes=self.processes, backward=backward)
        logprobs = policy_pass(policy, inputs.temperature, self.packing)
        add(logprobs, inputs.responses, own_weights[0], expert.weight)
        if inputs.baselines is not None:
            add(logprobs, inputs.baselines, own_weights[1], expert.weight)
        if self.critic is not None and values is not None:
            add(critic_pass(self.critic, policy), inputs.responses, own_weights[2], expert.weight)
        return Objective(objective.loss.detach(), objective.metrics), next_state

    def _logprobs(self, policy: Policy, responses: Responses, inputs: UpdateInputs) -> Tensor:
        return token_values(policy_pass(policy, inputs.temperature, self.packing), responses, self.max_tokens)

    def _values(self, policy: Policy, responses: Responses) -> Tensor | None:
        if self.critic is None:
            return None
        return token_values(critic_pass(self.critic, policy), responses, self.max_tokens)


def _violations(verdicts: Sequence[Verdict]) -> Tensor:
    return torch.tensor([verdict.outcome is Outcome.VIOLATED for verdict in verdicts], dtype=torch.bool)


def _identity(responses: Responses, shape: tuple[int, int]) -> Tensor:
    """Returns within each prompt the index of the first response with the same tokens; `[B, K]`."""
    rows = [tuple(int_list(ids[keep])) for ids, keep in zip(responses.ids, responses.mask, strict=True)]
    prompts, copies = shape
    groups = [rows[b * copies : (b + 1) * copies] for b in range(prompts)]
    return torch.tensor([[group.index(row) for row in group] for group in groups], dtype=torch.int64).view(shape)
