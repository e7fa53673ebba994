"""Seeds derived from what a random draw is for, so that a resumed run repeats itself exactly."""

from __future__ import annotations

import hashlib


def derived_seed(*parts: str | int) -> int:
    """Derives a seed from a sequence of names and numbers.

    Args:
        *parts: what the draw is for, from the general to the particular: the run's seed, `"rollout"`, the step, the
            task, the prompt's place in the batch.

    Returns:
        A whole number of at most 56 bits that depends on all the parts and on nothing else.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")
