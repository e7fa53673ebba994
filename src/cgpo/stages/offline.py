"""Preference pairs in the place of a rollout: what offline optimizers learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import torch

from cgpo.data.pairs import Pair
from cgpo.errors import UserError
from cgpo.policy.logprobs import batched_logprobs
from cgpo.protocols import Policy
from cgpo.rollout import DecodingSampler
from cgpo.seeds import derived_seed
from cgpo.stages.preferences import read_pairs
from cgpo.tensors import padded
from cgpo.types import Prompt, Rollout


@dataclass(frozen=True)
class OfflinePairs(DecodingSampler):
    """Draws preference pairs with their own prompts; implements `cgpo.protocols.Sampler`.

    `K/2` pairs for each prompt that is asked for, at least one, the preferred response first. Asked for one response a
    prompt, by an evaluation or for a baseline, it lets the policy answer, as `DecodingSampler` does.

    Attributes:
        pairs: folders of preference pairs, taken together.
        max_tokens: budget of one forward pass over the pairs.

    Raises:
        UserError: a setting is out of its range.
    """

    pairs: Sequence[str] = ()
    max_tokens: int = 8192

    @cached_property
    def _known(self) -> list[Pair]:
        found = read_pairs(self.pairs)
        if not found:
            raise UserError(f"rollout.pairs: there is no pair in {', '.join(self.pairs) or 'no folder'}")
        return found

    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        """Pairs, the same for the same seed; the prompts that are asked for only say how many, and each has a seed.

        Raises:
            UserError: there is no pair.
        """
        if responses_per_prompt == 1:
            return super().sample(policy, prompts, 1, seed)
        seeds = [derived_seed(seed, place) for place in range(len(prompts))] if isinstance(seed, int) else seed
        count = max(1, responses_per_prompt // 2)
        pairs = [pair for own in seeds for pair in Random(f"offline/{own}").choices(self._known, k=count)]
        return _rollout(policy, pairs, self.max_tokens)


def _rollout(policy: Policy, pairs: Sequence[Pair], max_tokens: int) -> Rollout:
    prompt_ids = tuple(tuple(policy.encode_prompt(pair.prompt)) for pair in pairs)
    texts = tuple(text for pair in pairs for text in (pair.chosen, pair.rejected))
    rooms = [policy.context_length - len(ids) for ids in prompt_ids for _ in range(2)]
    rows = [policy.encode_response(text)[:room] for text, room in zip(texts, rooms, strict=True)]
    device = next(policy.model.parameters()).device
    ids, mask = padded(rows, policy.pad_id, device)
    repeated = [ids for ids in prompt_ids for _ in range(2)]
    logprobs = batched_logprobs(policy.model, repeated, ids, mask, 1.0, policy.pad_id, max_tokens)
    finished = torch.ones(len(rows), dtype=torch.bool, device=device)
    return Rollout(tuple(p.prompt for p in pairs), prompt_ids, texts, ids, mask, logprobs, finished, 1.0)
