"""Chooses the prompts of each update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Self

from torch.utils.data import DataLoader, Dataset, Sampler

from cgpo.tasks.expert import Expert
from cgpo.types import Prompt


def batch_at(prompts: Sequence[Prompt], batch_size: int, seed: int, step: int, task: str = "") -> tuple[Prompt, ...]:
    """Returns the prompts of one step.

    The steps go through the prompts epoch by epoch, each epoch in its own order and without replacement; a batch that
    reaches the end of an epoch takes the rest from the next.

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


class Batch(dict[str, Sequence[Prompt]]):
    """Prompts by task."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Returns the batch itself, since prompts are text."""
        return self


class Steps(Dataset[Batch]):
    """Item `t` is update `t`'s prompts of every task, a pure function of the seed and `t`.

    Args:
        experts: the tasks.
        updates: the number of updates.
        seed: the seed of the run.
    """

    def __init__(self, experts: Sequence[Expert], updates: int, seed: int) -> None:
        self.experts = tuple(experts)
        self.updates = updates
        self.seed = seed

    def __len__(self) -> int:
        """Returns the number of updates."""
        return self.updates

    def __getitem__(self, step: int) -> Batch:
        """Returns `B` prompts of each task."""
        return Batch({e.name: batch_at(e.prompts, e.batch_size, self.seed, step, e.name) for e in self.experts})

    def loader(self, done: int = 0) -> DataLoader[Any]:
        """Loads the updates in order, without those that are done; its length includes them, as Lightning counts."""
        return DataLoader(self, batch_size=None, sampler=_RemainingUpdates(done, self.updates), collate_fn=unchanged)


class _RemainingUpdates(Sampler[int]):
    def __init__(self, done: int, updates: int) -> None:
        self._done = done
        self._updates = updates

    def __len__(self) -> int:
        return self._updates

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._done, self._updates))


def unchanged(batch: Any) -> Any:
    """Returns a batch as it is, since prompts are not collated into tensors."""
    return batch
