"""Derived random numbers: each draw's seed follows from what it is for, so that a resumed run repeats itself."""

from __future__ import annotations

import hashlib


def derived_seed(*parts: str | int) -> int:
    """A seed of at most 56 bits that depends on all the parts, and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")
