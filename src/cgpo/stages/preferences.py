"""Preference pairs in the place of a rollout: what offline optimizers learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Protocol

import orjson
import torch

from cgpo.bounds import ModelPath
from cgpo.data.pairs import Pair, PairFile
from cgpo.data.source import PromptSource
from cgpo.errors import UserError
from cgpo.policy.causal import load_policy
from cgpo.policy.logprobs import batched_logprobs
from cgpo.protocols import Policy, Sampler
from cgpo.rollout import DecodingSampler
from cgpo.seeds import derived_seed
from cgpo.tensors import pad_rows
from cgpo.types import Prompt, Rollout, Sample

FILE = "pairs.jsonl"


class Annotator(Protocol):
    """Who ranks responses."""

    def score(self, samples: Sequence[Sample], seed: int) -> list[float]:
        """How much each response is liked; of two responses to a prompt the higher is chosen."""
        ...


@dataclass(frozen=True)
class SampledPreferences:
    """Pairs of a policy's own responses, ranked by an annotator.

    Attributes:
        policy: folder or hub id of the policy.
        prompts: where prompts come from; their training split is used, in turn.
        annotator: who ranks.
        sampler: draws the responses.
        prompts_per_source: how many prompts of each source.
        responses_per_prompt: responses of which the best and the worst make a pair.
        seed: of draws and of the annotator's noise.
    """

    policy: ModelPath
    prompts: Sequence[PromptSource]
    annotator: Annotator
    sampler: Sampler
    prompts_per_source: int
    responses_per_prompt: int = 2
    seed: int = 0

    def build(self, folder: Path) -> None:
        """Writes `pairs.jsonl`; prompts whose responses are all equal give no pair."""
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


@dataclass(frozen=True)
class GivenPreferences:
    """Pairs from a file or data set.

    Attributes:
        pairs: where they come from.
    """

    pairs: PairFile

    def build(self, folder: Path) -> None:
        """Writes `pairs.jsonl`."""
        write_pairs(folder, self.pairs.load().train)


def _pair(samples: Sequence[Sample], scores: Sequence[float]) -> list[Pair]:
    best = max(range(len(samples)), key=lambda i: scores[i])
    worst = min(range(len(samples)), key=lambda i: scores[i])
    if samples[best].response == samples[worst].response:
        return []
    return [Pair(samples[best].prompt, samples[best].response, samples[worst].response)]


def write_pairs(folder: Path, pairs: Sequence[Pair]) -> None:
    """Writes `pairs.jsonl` into a folder."""
    (folder / FILE).write_bytes(b"".join(orjson.dumps(asdict(pair)) + b"\n" for pair in pairs))


def read_pairs(folders: Iterable[str]) -> list[Pair]:
    """The pairs of one or several folders, one after the other."""
    rows = [orjson.loads(line) for folder in folders for line in (Path(folder) / FILE).read_bytes().splitlines()]
    return [
        Pair(Prompt(**{**row["prompt"], "history": tuple(row["prompt"]["history"])}), row["chosen"], row["rejected"])
        for row in rows
    ]


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
    ids, mask = pad_rows(rows, policy.pad_id, device)
    repeated = [ids for ids in prompt_ids for _ in range(2)]
    logprobs = batched_logprobs(policy.model, repeated, ids, mask, 1.0, policy.pad_id, max_tokens)
    finished = torch.ones(len(rows), dtype=torch.bool, device=device)
    return Rollout(tuple(p.prompt for p in pairs), prompt_ids, texts, ids, mask, logprobs, finished, 1.0)
