"""What a judge reads of a sample, as a key: equal keys, equal verdicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from cgpo.types import Sample


@dataclass(frozen=True)
class Distinct:
    """Samples without repetition.

    Attributes:
        samples: each content once, in the order of first appearance.
        digests: of each; `None` where its metadata are no JSON, so that only the very same prompt counts as equal.
        index: for each of the samples given which of these it is.
    """

    samples: list[Sample]
    digests: list[bytes | None]
    index: list[int]


def distinct(samples: Sequence[Sample]) -> Distinct:
    """Leaves out samples whose content was there already."""
    places: dict[object, int] = {}
    found = Distinct([], [], [])
    for sample in samples:
        digest = content_digest(sample)
        key = digest if digest is not None else (id(sample.prompt), sample.response)
        place = places.setdefault(key, len(found.samples))
        if place == len(found.samples):
            found.samples.append(sample)
            found.digests.append(digest)
        found.index.append(place)
    return found


def content_digest(sample: Sample) -> bytes | None:
    """Digest of all that a judge may read: response, and the prompt but for its key; `None` where there is no JSON."""
    prompt = sample.prompt
    history = [dict(turn) for turn in prompt.history]
    try:
        content = [prompt.text, prompt.response, sample.response, history, dict(prompt.metadata)]
        text = json.dumps(content, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode()).digest()
