"""Preference pairs: sampled from a policy and ranked by an annotator, and used as rollouts by offline optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Protocol

import orjson
import torch

from cgpo.bounds import ModelPath
from cgpo.data.pairs import Pair
from cgpo.data.source import PromptSource
from cgpo.errors import UserError
from cgpo.files import json_lines
from cgpo.policy.causal import load_policy
from cgpo.policy.logprobs import batched_logprobs
from cgpo.protocols import Policy, Sampler
from cgpo.rollout import DecodingSampler
from cgpo.seeds import derived_seed
from cgpo.tensors import pad_rows
from cgpo.types import Message, Prompt, Rollout, Sample

FILE = "pairs.jsonl"


class Annotator(Protocol):
    """Ranks responses."""

    def score(self, samples: Sequence[Sample], seed: int) -> list[float]:
        """Scores each response; of two responses to a prompt the one with the higher score is chosen."""
        ...


@dataclass(frozen=True)
class SampledPreferences:
    """Pairs of a policy's own responses, ranked by an annotator.

    Attributes:
        policy: folder or hub id of the policy.
        prompts: the sources of the prompts, whose training splits are used.
        annotator: ranks the responses.
        sampler: samples the responses.
        prompts_per_source: the number of prompts from each source.
        responses_per_prompt: the number of responses of which the best and the worst make a pair.
        seed: the seed of the responses and of the annotator's noise.
    """

    policy: ModelPath
    prompts: Sequence[PromptSource]
    annotator: Annotator
    sampler: Sampler
    prompts_per_source: int
    responses_per_prompt: int = 2
    seed: int = 0

    def build(self, folder: Path) -> None:
        """Writes `pairs.jsonl`; a prompt whose best and worst responses are equal gives no pair."""
        policy = load_policy(self.policy)
        pairs: list[Pair] = []
        for number, source in enumerate(self.prompts):
            chosen = source.load().train[: self.prompts_per_source]
            rollout = self.sampler.sample(
                policy, chosen, self.responses_per_prompt, derived_seed(self.seed, "pairs", number)
            )
            samples = rollout.samples
            scores = self.annotator.score(samples, derived_seed(self.seed, "annotator", number))
            k = self.responses_per_prompt
            for start in range(0, len(samples), k):
                pairs += _pair(samples[start : start + k], scores[start : start + k])
        write_pairs(folder, pairs)


def _pair(samples: Sequence[Sample], scores: Sequence[float]) -> list[Pair]:
    best = max(range(len(samples)), key=lambda i: scores[i])
    worst = min(range(len(samples)), key=lambda i: scores[i])
    if samples[best].response == samples[worst].response:
        return []
    return [Pair(samples[best].prompt, samples[best].response, samples[worst].response)]


def write_pairs(folder: Path, pairs: Sequence[Pair]) -> None:
    """Writes `pairs.jsonl` into a folder."""
    (folder / FILE).write_bytes(json_lines(asdict(pair) for pair in pairs))


def read_pairs(folders: Iterable[str]) -> list[Pair]:
    """Reads the pairs of some folders, one folder after the other."""
    rows = [orjson.loads(line) for folder in folders for line in (Path(folder) / FILE).read_bytes().splitlines()]
    return [Pair(_prompt(**row["prompt"]), row["chosen"], row["rejected"]) for row in rows]


def _prompt(history: Sequence[Message], **fields: Any) -> Prompt:
    return Prompt(history=tuple(history), **fields)


@dataclass(frozen=True)
class OfflinePairs(DecodingSampler):
    """Returns preference pairs with their own prompts instead of a rollout; implements `cgpo.protocols.Sampler`.

    For each prompt that is asked for there are `K/2` pairs, at least one, the preferred response first. Asked for one
    response to a prompt, for an evaluation or a baseline, it samples from the policy as `DecodingSampler` does.

    Attributes:
        pairs: folders of preference pairs, which are used together.
        max_tokens: the budget of one forward pass over the pairs in tokens.

    Raises:
        UserError: a setting is out of range.
    """

    pairs: Sequence[str] = ()
    max_tokens: int = 8192

    @cached_property
    def _all_pairs(self) -> list[Pair]:
        found = read_pairs(self.pairs)
        if not found:
            raise UserError(f"rollout.pairs: there is no pair in {', '.join(self.pairs) or 'no folder'}")
        return found

    def sample(
        self, policy: Policy, prompts: Sequence[Prompt], responses_per_prompt: int, seed: int | Sequence[int]
    ) -> Rollout:
        """Draws pairs, the same ones for the same seed; the prompts only tell how many, and each has a seed.

        Raises:
            UserError: there is no pair.
        """
        if responses_per_prompt == 1:
            return super().sample(policy, prompts, 1, seed)
        seeds = [derived_seed(seed, place) for place in range(len(prompts))] if isinstance(seed, int) else seed
        count = max(1, responses_per_prompt // 2)
        pairs = [pair for own in seeds for pair in Random(f"offline/{own}").choices(self._all_pairs, k=count)]
        return _rollout(policy, pairs, self.max_tokens)


def _rollout(policy: Policy, pairs: Sequence[Pair], max_tokens: int) -> Rollout:
    prompt_ids = tuple(tuple(policy.encode_prompt(pair.prompt)) for pair in pairs)
    texts = tuple(text for pair in pairs for text in (pair.chosen, pair.rejected))
    rooms = [policy.context_length - len(ids) for ids in prompt_ids for _ in range(2)]
    rows = [policy.encode_response(text)[:room] for text, room in zip(texts, rooms, strict=True)]
    device = next(policy.model.parameters()).device
    ids, mask = pad_rows(rows, policy.pad_id, device)
    repeated = [ids for ids in prompt_ids for _ in range(2)]
    logprobs = batched_logprobs(policy.model, repeated, ids, mask, 1.0, policy.pad_id, max_tokens)
    finished = torch.ones(len(rows), dtype=torch.bool, device=device)
    return Rollout(tuple(p.prompt for p in pairs), prompt_ids, texts, ids, mask, logprobs, finished, 1.0)
