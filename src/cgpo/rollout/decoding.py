"""A batched decoding loop that pays neither for the prompt's copies nor for responses that have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cgpo.errors import UserError
from cgpo.protocols import Policy
from cgpo.rollout.cache import roomy_cache
from cgpo.rollout.draw import Draw, draw_tokens
from cgpo.seeds import derived_seed
from cgpo.types import Prompt, Rollout


@dataclass(frozen=True)
class DecodingSampler:
    """Samples `K` responses to each prompt; implements `cgpo.protocols.Sampler`.

    A prompt is read once, and its key-value cache is copied to its `K` responses. Rows whose response has ended leave
    the batch, so that a batch of mixed lengths costs the tokens it has.

    Attributes:
        max_new_tokens: the most tokens of a response.
        temperature: what the logits are divided by.
        top_p: mass of the most probable tokens that are sampled from; 1 keeps all.
        top_k: number of the most probable tokens that are sampled from; 0 keeps all.
        max_batch: the most responses decoded at once, but never fewer than one prompt's `K`; `None` for all.
        compact_below: ended rows are dropped once the share of running rows falls below this.

    Raises:
        UserError: a setting is out of its range.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_batch: int | None = None
    compact_below: float = 0.8

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"rollout.max_new_tokens is {self.max_new_tokens}: it must be at least 1")
        if not self.temperature > 0:
            raise UserError(f"rollout.temperature is {self.temperature}: it must be above 0")
        if not 0 < self.top_p <= 1:
            raise UserError(f"rollout.top_p is {self.top_p}: it must lie in (0, 1]")
        if self.top_k < 0:
            raise UserError(f"rollout.top_k is {self.top_k}: it must be at least 0 (0 keeps all tokens)")
        if self.max_batch is not None and self.max_batch < 1:
            raise UserError(f"rollout.max_batch is {self.max_batch}: it must be at least 1, or null for all")
        if not 0 <= self.compact_below <= 1:
            raise UserError(f"rollout.compact_below is {self.compact_below}: it must lie in [0, 1]")

    @torch.no_grad()
    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        """Draws `responses_per_prompt` responses to each prompt; the same seed draws the same responses.

        A prompt's responses do not depend on the other prompts.

        Args:
            policy: what is sampled from; its weights are only read.
            prompts: `B` prompts, each shorter than the policy's context; there may be none.
            responses_per_prompt: `K`.
            seed: of the random numbers; or one for each prompt.

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
        parts = parts or [_nothing(policy)]
        width = max(ids.shape[1] for ids, _ in parts)
        ids = torch.cat([_widened(part, width) for part, _ in parts])
        logprobs = torch.cat([_widened(part, width) for _, part in parts])
        return _rollout(policy, tuple(prompts), prompt_ids, ids, logprobs, self.temperature)

    def _uniform(self, seed: int | Sequence[int], count: int, copies: int, device: torch.device) -> Tensor:
        """Random numbers in [0, 1) for every token of every prompt's responses; `[B, K, T]` float64."""
        seeds = [derived_seed(seed, place) for place in range(count)] if isinstance(seed, int) else seed
        uniform = torch.empty(count, copies, self.max_new_tokens, dtype=torch.float64)
        for of_prompt, own in zip(uniform, seeds, strict=True):
            of_prompt.uniform_(generator=torch.Generator().manual_seed(own))
        return uniform.to(device)

    def _decode(
        self, policy: Policy, prompt_ids: Sequence[Sequence[int]], copies: int, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens `[N, T]`, -1 after a response's end, and their log-probabilities `[N, T]`."""
        state = _prefill(policy, prompt_ids, copies)
        draw, uniform = Draw(self.temperature, self.top_p, self.top_k), uniform.flatten(0, 1)
        limit = min(self.max_new_tokens, policy.context_length - max(map(len, prompt_ids)))
        ends = torch.tensor(sorted(policy.eos_ids), device=state.rows.device)
        total = len(state.rows)
        tokens = torch.full((total, limit), -1, device=state.rows.device)
        precision = torch.float64 if state.logits.dtype == torch.float64 else torch.float32
        logprobs = torch.zeros(total, limit, dtype=precision, device=state.rows.device)
        for step in range(limit):
            token, logprob = draw_tokens(state.logits, draw, uniform[state.rows, step])
            token = torch.where(state.running, token, -1)
            tokens[state.rows, step] = token
            logprobs[state.rows, step] = torch.where(state.running, logprob, 0.0)
            state.running &= ~torch.isin(token, ends)
            running = int(state.running.sum())
            if running == 0 or step + 1 == limit:
                return tokens[:, : step + 1], logprobs[:, : step + 1]
            if running < self.compact_below * len(state.rows):
                token = state.keep_running(token)
            state.advance(policy.model, token.clamp(min=0))
        return tokens, logprobs


@dataclass
class _State:
    """The rows that are being decoded: where each stands in the result, its cache, its next token's logits."""

    rows: Tensor
    running: Tensor
    logits: Tensor
    cache: Any
    mask: Tensor | None
    position: Tensor

    def keep_running(self, token: Tensor) -> Tensor:
        """Drops the rows that have ended; the running rows' tokens."""
        kept = self.running.nonzero().squeeze(-1)
        self.cache.batch_select_indices(kept)
        self.rows, self.running, self.position = self.rows[kept], self.running[kept], self.position[kept]
        self.mask = None if self.mask is None else self.mask[kept]
        return token[kept]

    def advance(self, model: Any, token: Tensor) -> None:
        """Reads one token a row."""
        extra: dict[str, Any] = {}
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(token), 1)], dim=1)
            extra = {"attention_mask": self.mask, "position_ids": self.position[:, None]}
        output = model(input_ids=token[:, None], past_key_values=self.cache, use_cache=True, **extra)
        self.logits = output.logits[:, -1]
        self.position = self.position + 1


def _check_prompts(policy: Policy, prompts: Sequence[Prompt], prompt_ids: Sequence[Sequence[int]]) -> None:
    for prompt, ids in zip(prompts, prompt_ids, strict=True):
        if not ids:
            raise UserError(f"prompt {prompt.key}: no tokens, so that there is nothing to respond to")
        if len(ids) >= policy.context_length:
            raise UserError(
                f"prompt {prompt.key}: {len(ids)} tokens leave no room for a response"
                f" in a context of {policy.context_length}"
            )


def _prefill(policy: Policy, prompt_ids: Sequence[Sequence[int]], copies: int) -> _State:
    """Reads each prompt once, padded on the left where lengths differ, and copies what was read."""
    device = _device(policy)
    lengths = torch.tensor([len(ids) for ids in prompt_ids], device=device)
    width = int(lengths.max())
    tokens = torch.tensor([[policy.pad_id] * (width - len(ids)) + list(ids) for ids in prompt_ids], device=device)
    cache = roomy_cache(policy.model.config)
    extra: dict[str, Any] = {}
    if int(lengths.min()) != width:
        mask = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
        extra = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    output: Any = policy.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra)
    cache.batch_repeat_interleave(copies)
    rows = torch.arange(len(prompt_ids) * copies, device=device)
    return _State(
        rows=rows,
        running=torch.ones_like(rows, dtype=torch.bool),
        logits=output.logits[:, -1].repeat_interleave(copies, dim=0),
        cache=cache,
        mask=extra["attention_mask"].repeat_interleave(copies, dim=0) if extra else None,
        position=lengths.repeat_interleave(copies),
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
    texts = tuple(policy.decode(row[keep].tolist()) for row, keep in zip(ids, mask, strict=True))
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


def _nothing(policy: Policy) -> tuple[Tensor, Tensor]:
    """What is drawn for no prompt at all."""
    weight = next(policy.model.parameters())
    precision = torch.float64 if weight.dtype == torch.float64 else torch.float32
    nothing = torch.zeros(0, 1, device=weight.device)
    return nothing.long(), nothing.to(precision)


def _widened(part: Tensor, width: int) -> Tensor:
    fill = -1 if not part.is_floating_point() else 0.0
    return torch.nn.functional.pad(part, (0, width - part.shape[1]), value=fill)


def _device(policy: Policy) -> torch.device:
    return next(policy.model.parameters()).device
