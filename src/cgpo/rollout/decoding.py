"""The sampler: a batched decoding loop that neither repeats the prompt for its copies nor decodes past a response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from cgpo.bounds import Unit, check_fields
from cgpo.errors import UserError
from cgpo.protocols import Policy
from cgpo.rollout.dynamic import DynamicRows
from cgpo.rollout.prefill import Prefill, prefill
from cgpo.rollout.sampling import SamplingParameters, sample_tokens
from cgpo.rollout.static import StaticRows
from cgpo.seeds import derived_seed
from cgpo.tensors import at_least_float32, int_list, widen
from cgpo.types import Prompt, Rollout

ENGINES = ("dynamic", "static")
ENDED = -1
"""Stands in a row of tokens behind the response's end."""


@dataclass(frozen=True)
class DecodingSampler:
    """Samples `K` responses to each prompt; implements `cgpo.protocols.Sampler`.

    A prompt is read once, and its key-value cache is copied for its `K` responses. With the engine `dynamic`, rows
    whose response has ended leave the batch, so that a batch of mixed lengths costs the tokens it has. With `static`,
    no shape changes from token to token and rows stay after their end, which lets a GPU replay one graph a token (see
    `cgpo.rollout.cuda_graphs`); the tokens are the same up to rounding.

    Attributes:
        max_new_tokens: the most tokens of a response.
        temperature: divides the logits.
        top_p: the probability mass of the likeliest tokens that are sampled from; 1 keeps all.
        top_k: the number of likeliest tokens that are sampled from; 0 keeps all.
        max_batch: the most responses decoded at once, but never fewer than one prompt's `K`; `None` for all.
        compact_below: rows that have ended are dropped once the share of running rows falls below this; `dynamic` only.
        engine: `dynamic` or `static`.

    Raises:
        UserError: a setting is out of range.
    """

    max_new_tokens: Annotated[int, Ge(1), Unit("tokens")]
    temperature: Annotated[float, Gt(0)] = 1.0
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0
    top_k: Annotated[int, Ge(0), Unit("tokens")] = 0
    max_batch: Annotated[int, Ge(1), Unit("responses")] | None = None
    compact_below: Annotated[float, Ge(0), Le(1)] = 0.8
    engine: Literal["dynamic", "static"] = "dynamic"

    def __post_init__(self) -> None:
        check_fields(self)

    @torch.no_grad()
    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        """Samples `responses_per_prompt` responses to each prompt; the same seed gives the same responses.

        A prompt's responses do not depend on the other prompts.

        Args:
            policy: the policy; its weights are only read.
            prompts: `B` prompts, each shorter than the policy's context; there may be none.
            responses_per_prompt: `K`.
            seed: the seed of all prompts, or one for each.

        Returns:
            `B * K` responses, prompt-major.

        Raises:
            UserError: a prompt has no tokens, or leaves no room in the context.
        """
        prompt_ids = tuple(tuple(policy.encode_prompt(p)) for p in prompts)
        _check_prompts(policy, prompts, prompt_ids)
        uniform = self._uniform(seed, len(prompts), responses_per_prompt, _device(policy))
        training = policy.model.training
        policy.model.eval()
        try:
            chunk = max(1, (self.max_batch or len(prompts) * responses_per_prompt) // responses_per_prompt)
            parts = [
                self._decode(policy, prompt_ids[i : i + chunk], responses_per_prompt, uniform[i : i + chunk])
                for i in range(0, len(prompts), chunk)
            ]
        finally:
            policy.model.train(training)
        parts = parts or [_no_responses(policy)]
        width = max(ids.shape[1] for ids, _ in parts)
        ids = torch.cat([widen(part, width, ENDED) for part, _ in parts])
        logprobs = torch.cat([widen(part, width) for _, part in parts])
        rollout = _rollout(policy, tuple(prompts), prompt_ids, ids, logprobs, self.temperature)
        return replace(rollout, truncation=self._truncation)

    @property
    def _truncation(self) -> str:
        cuts = {"top_p": self.top_p if self.top_p < 1 else None, "top_k": self.top_k or None}
        return " ".join(f"{name}={value}" for name, value in cuts.items() if value is not None)

    def _uniform(self, seed: int | Sequence[int], count: int, copies: int, device: torch.device) -> Tensor:
        """Draws `[B, K, T]` float64 random numbers in [0, 1), one for every token of every prompt's responses."""
        seeds = [derived_seed(seed, place) for place in range(count)] if isinstance(seed, int) else seed
        uniform = torch.empty(count, copies, self.max_new_tokens, dtype=torch.float64)
        for of_prompt, own in zip(uniform, seeds, strict=True):
            of_prompt.uniform_(generator=torch.Generator().manual_seed(own))
        return uniform.to(device)

    def _decode(
        self, policy: Policy, prompt_ids: Sequence[Sequence[int]], copies: int, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns `[N, T]` tokens, `ENDED` after a response's end, and their `[N, T]` log-probabilities."""
        prompts = prefill(policy.model, prompt_ids, policy.pad_id)
        limit = min(self.max_new_tokens, policy.context_length - prompts.width)
        state = self._rows(policy, prompts, copies, limit)
        parameters = SamplingParameters(self.temperature, self.top_p, self.top_k)
        uniform = uniform.flatten(0, 1)
        total, device = len(state.rows), state.rows.device
        ends = torch.tensor(sorted(policy.eos_ids), device=device)
        tokens = torch.full((total, limit), ENDED, device=device)
        logprobs = torch.zeros(total, limit, dtype=at_least_float32(state.logits.dtype), device=device)
        for step in range(limit):
            token, logprob = sample_tokens(state.logits, parameters, uniform[state.rows, step])
            token = torch.where(state.running, token, ENDED)
            tokens[state.rows, step] = token
            logprobs[state.rows, step] = torch.where(state.running, logprob, 0.0)
            state.running &= ~torch.isin(token, ends)
            if step + 1 == limit or state.all_ended():
                break
            state.advance(token.clamp(min=0))
        longest = int((tokens >= 0).sum(-1).max())
        return tokens[:, :longest], logprobs[:, :longest]

    def _rows(self, policy: Policy, prompts: Prefill, copies: int, limit: int) -> DynamicRows | StaticRows:
        if self.engine == "static":
            return StaticRows(policy.model, prompts, copies, limit)
        return DynamicRows(policy.model, prompts, copies, self.compact_below)


def _check_prompts(policy: Policy, prompts: Sequence[Prompt], prompt_ids: Sequence[Sequence[int]]) -> None:
    for prompt, ids in zip(prompts, prompt_ids, strict=True):
        if not ids:
            raise UserError(f"prompt {prompt.key}: no tokens, so that there is nothing to respond to")
        if len(ids) >= policy.context_length:
            raise UserError(
                f"prompt {prompt.key}: {len(ids)} tokens leave no room for a response"
                f" in a context of {policy.context_length}"
            )


def _rollout(
    policy: Policy,
    prompts: tuple[Prompt, ...],
    prompt_ids: tuple[tuple[int, ...], ...],
    ids: Tensor,
    logprobs: Tensor,
    temperature: float,
) -> Rollout:
    mask = ids >= 0
    last = ids.gather(1, (mask.sum(-1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
    ends = torch.tensor(sorted(policy.eos_ids), device=ids.device)
    texts = tuple(policy.decode(int_list(row[keep])) for row, keep in zip(ids, mask, strict=True))
    return Rollout(
        prompts=prompts,
        prompt_ids=prompt_ids,
        responses=texts,
        response_ids=ids.masked_fill(~mask, policy.pad_id),
        response_mask=mask,
        logprobs=logprobs,
        finished=torch.isin(last, ends),
        temperature=temperature,
    )


def _no_responses(policy: Policy) -> tuple[Tensor, Tensor]:
    """Returns the tokens and log-probabilities of a rollout without prompts, `[0, 1]` each."""
    weight = next(policy.model.parameters())
    empty = torch.zeros(0, 1, device=weight.device)
    return empty.long(), empty.to(at_least_float32(weight.dtype))


def _device(policy: Policy) -> torch.device:
    return next(policy.model.parameters()).device
