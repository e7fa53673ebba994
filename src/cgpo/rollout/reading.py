"""Prompts read once each, before their responses are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from cgpo.protocols import Policy
from cgpo.rollout.cache import roomy_cache


@dataclass(frozen=True)
class Reading:
    """What a model holds of `B` prompts, padded on the left to `P` tokens.

    Attributes:
        cache: keys and values, `[B, H, P, D]` a layer.
        logits: `[B, V]` of the first token of a response.
        mask: `[B, P]`, 1 where a prompt's token is; `None` where all prompts are equally long.
        lengths: `[B]` tokens of each prompt.
    """

    cache: DynamicCache
    logits: Tensor
    mask: Tensor | None
    lengths: Tensor

    @property
    def width(self) -> int:
        """`P`."""
        return self.cache.get_seq_length()


def read_prompts(policy: Policy, prompt_ids: Sequence[Sequence[int]]) -> Reading:
    """Reads each prompt once; `B` prompts, ragged, none empty."""
    return read_tokens(policy.model, prompt_ids, policy.pad_id)


def read_tokens(model: nn.Module, prompt_ids: Sequence[Sequence[int]], pad_id: int) -> Reading:
    """Reads rows of tokens, padded on the left where lengths differ."""
    device = next(model.parameters()).device
    lengths = torch.tensor([len(ids) for ids in prompt_ids], device=device)
    width = max(map(len, prompt_ids))
    tokens = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in prompt_ids], device=device)
    config: Any = model.config
    cache = roomy_cache(config)
    extra: dict[str, Any] = {}
    if min(map(len, prompt_ids)) != width:
        mask = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
        extra = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    output: Any = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra)
    return Reading(cache, output.logits[:, -1], extra.get("attention_mask"), lengths)
