"""The constrained step of one task: its objective, and the gradient of that objective on the policy's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cgpo.policy.logprobs import batched_logprobs, response_logprobs, snug_batches
from cgpo.protocols import Policy
from cgpo.tasks.baseline import BaselineResponse, rewards_of, satisfied_of
from cgpo.tasks.expert import Expert
from cgpo.types import Baseline, Objective, Rollout, Scored, Verdicts


@dataclass(frozen=True)
class Responses:
    """Tokens whose log-probabilities an objective depends on: the rollout's, or the baseline responses'.

    Attributes:
        prompt_ids: `N` prompts, ragged.
        ids: `[N, T]`.
        mask: `[N, T]` bool.
    """

    prompt_ids: Sequence[Sequence[int]]
    ids: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Logprobs:
    """Token log-probabilities of a batch, without gradients.

    Attributes:
        current: `[N, T]` under the current policy.
        reference: `[N, T]` under the reference.
        baseline: `[B, T']` of the baseline responses under the current policy; `[B, 1]` where nobody asks for them.
        baseline_mask: `[B, T']` bool.
    """

    current: Tensor
    reference: Tensor
    baseline: Tensor
    baseline_mask: Tensor


@dataclass(frozen=True)
class ConstrainedUpdate:
    """Differentiates a task's objective in two parts, so that micro-batches change nothing.

    An objective is a function of the batch's log-probabilities alone. First it is differentiated by those, all at
    once and for the task's whole batch: one number a token. Then the policy is run again, micro-batch by micro-batch,
    and each token's log-probability is differentiated by the weights, times its number. That is the chain rule: the
    result is the same however the batch is cut, for any objective. Responses whose numbers are all 0 cost nothing.

    Attributes:
        max_tokens: budget of one micro-batch, in tokens with padding.
        recompute_logprobs: take the current policy's log-probabilities from a forward pass of their own instead of
            from the sampler: for samplers whose numbers differ from the policy's.
    """

    max_tokens: int = 8192
    recompute_logprobs: bool = False

    def logprobs(
        self,
        policy: Policy,
        reference: Policy,
        expert: Expert,
        rollout: Rollout,
        baselines: Sequence[str],
    ) -> Logprobs:
        """The forward passes that an objective needs; they wait for no verdict. `baselines` are `B` texts."""
        responses = rollout_responses(rollout)
        current = (
            self._logprobs(policy, responses, rollout.temperature) if self.recompute_logprobs else rollout.logprobs
        )
        of_reference = self._logprobs(reference, responses, rollout.temperature)
        if not expert.optimizer.uses_baseline_logprobs:
            empty = current.new_zeros(len(baselines), 1)
            return Logprobs(current, of_reference, empty, empty.bool())
        fallback = baseline_responses(policy, rollout, baselines)
        return Logprobs(current, of_reference, self._logprobs(policy, fallback, rollout.temperature), fallback.mask)

    def score(
        self,
        expert: Expert,
        rollout: Rollout,
        logprobs: Logprobs,
        reward: Tensor,
        verdicts: Verdicts,
        baselines: Sequence[BaselineResponse],
    ) -> Scored:
        """The batch as the optimizer sees it; `reward` is `[N]`."""
        shape = (len(rollout.prompts), expert.responses_per_prompt)
        device = rollout.response_ids.device
        return Scored(
            logprobs=logprobs.current.view(*shape, -1),
            reference_logprobs=logprobs.reference.view(*shape, -1),
            response_mask=rollout.response_mask.view(*shape, -1),
            reward=reward.to(device).view(shape),
            satisfied=verdicts.satisfied.to(device).view(shape),
            decided=verdicts.decided.to(device).view(shape),
            identity=_identity(rollout_responses(rollout), shape).to(device),
            baseline=Baseline(
                rewards_of(baselines).to(device),
                satisfied_of(baselines).to(device),
                logprobs.baseline,
                logprobs.baseline_mask,
            ),
        )

    def backward(
        self,
        policy: Policy,
        expert: Expert,
        rollout: Rollout,
        scored: Scored,
        baselines: Sequence[BaselineResponse],
        backward: Callable[[Tensor], None],
    ) -> Objective:
        """Adds `ρ_l` times the objective's gradient to the policy's weights.

        Args:
            policy: whose weights get the gradient.
            expert: the task.
            rollout: its responses.
            scored: the same, as the optimizer sees them.
            baselines: the prompts' baseline responses.
            backward: runs the backward pass of a scalar (`LightningModule.manual_backward`).

        Returns:
            The objective, detached.
        """
        own = scored.logprobs.detach().requires_grad_()
        fallback = scored.baseline.logprobs.detach().requires_grad_()
        objective = expert.optimizer(
            replace(scored, logprobs=own, baseline=replace(scored.baseline, logprobs=fallback))
        )
        weights = torch.autograd.grad(objective.loss, [own, fallback], allow_unused=True)
        self._accumulate(policy, rollout_responses(rollout), weights[0], rollout.temperature, expert.weight, backward)
        if weights[1] is not None and expert.optimizer.uses_baseline_logprobs:
            responses = baseline_responses(policy, rollout, [baseline.text for baseline in baselines])
            self._accumulate(policy, responses, weights[1], rollout.temperature, expert.weight, backward)
        return Objective(objective.loss.detach(), objective.metrics)

    def _accumulate(
        self,
        policy: Policy,
        responses: Responses,
        weights: Tensor | None,
        temperature: float,
        scale: float,
        backward: Callable[[Tensor], None],
    ) -> None:
        if weights is None:
            return
        weights = weights.reshape(responses.ids.shape)
        rows = (weights != 0).any(-1).nonzero().squeeze(-1).tolist()
        lengths = [len(responses.prompt_ids[i]) + int(responses.mask[i].sum()) for i in rows]
        for part in snug_batches(lengths, self.max_tokens):
            chosen = [rows[i] for i in part]
            logprobs = response_logprobs(
                policy.model,
                [responses.prompt_ids[i] for i in chosen],
                *_trimmed(responses.ids[chosen], responses.mask[chosen]),
                temperature,
                policy.pad_id,
            )
            backward(scale * (logprobs * weights[chosen][:, : logprobs.shape[1]]).sum())

    def _logprobs(self, policy: Policy, responses: Responses, temperature: float) -> Tensor:
        return batched_logprobs(
            policy.model,
            responses.prompt_ids,
            responses.ids,
            responses.mask,
            temperature,
            policy.pad_id,
            self.max_tokens,
        )


def rollout_responses(rollout: Rollout) -> Responses:
    """The rollout's `N` responses, each with its prompt."""
    copies = len(rollout.responses) // len(rollout.prompts)
    prompt_ids = [ids for ids in rollout.prompt_ids for _ in range(copies)]
    return Responses(prompt_ids, rollout.response_ids, rollout.response_mask)


def baseline_responses(policy: Policy, rollout: Rollout, baselines: Sequence[str]) -> Responses:
    """The prompts' baseline responses; one that leaves the context is cut."""
    device = rollout.response_ids.device
    rows = [
        torch.tensor(policy.encode_response(text)[: policy.context_length - len(ids)], device=device)
        for text, ids in zip(baselines, rollout.prompt_ids, strict=True)
    ]
    width = max(len(row) for row in rows)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    ids = torch.stack([torch.nn.functional.pad(row, (0, width - len(row)), value=policy.pad_id) for row in rows])
    return Responses(rollout.prompt_ids, ids, torch.arange(width, device=device) < lengths[:, None])


def _trimmed(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    width = int(mask.sum(-1).max())
    return ids[:, :width], mask[:, :width]


def _identity(responses: Responses, shape: tuple[int, int]) -> Tensor:
    """Within each prompt, the index of the first response with the same tokens; `[B, K]`."""
    rows = [tuple(ids[keep].tolist()) for ids, keep in zip(responses.ids, responses.mask, strict=True)]
    prompts, copies = shape
    groups = [rows[b * copies : (b + 1) * copies] for b in range(prompts)]
    return torch.tensor([[group.index(row) for row in group] for group in groups])
