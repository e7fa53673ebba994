"""Preference pairs: sampled from a policy and ranked by an annotator, or read from a file; kept as JSONL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import orjson

from cgpo.data.pairs import Pair, PairFile
from cgpo.data.source import PromptSource
from cgpo.policy.causal import load_policy
from cgpo.protocols import Sampler
from cgpo.seeds import derived_seed
from cgpo.types import Prompt, Sample

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

    policy: str
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
