"""Which prompts each step trains on: a pure function, so that a resumed run goes on exactly where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from cgpo.types import Prompt


def batch_at(prompts: Sequence[Prompt], batch_size: int, seed: int, step: int, task: str = "") -> tuple[Prompt, ...]:
    """The prompts of one step.

    The steps walk through the prompts epoch by epoch, each epoch in an order of its own and without replacement; a
    batch that reaches an epoch's end takes the rest from the next.

    Args:
        prompts: the task's prompts, at least one.
        batch_size: `B`, which may exceed the number of prompts.
        seed: the run's seed.
        step: the step, from 0.
        task: the task's name, so that two tasks with the same data differ.

    Returns:
        `B` prompts, the same for the same arguments on every machine.
    """
    if not prompts or batch_size < 1 or step < 0:
        raise ValueError(f"no batch of {batch_size} at step {step} from {len(prompts)} prompts")
    start = step * batch_size
    places = (divmod(position, len(prompts)) for position in range(start, start + batch_size))
    return tuple(prompts[_order(len(prompts), seed, task, epoch)[place]] for epoch, place in places)


@lru_cache(maxsize=64)
def _order(count: int, seed: int, task: str, epoch: int) -> tuple[int, ...]:
    start = blake2b(f"{seed}/{epoch}/{task}".encode(), digest_size=16).digest()
    return tuple(sorted(range(count), key=lambda i: (blake2b(start + i.to_bytes(8), digest_size=8).digest(), i)))
