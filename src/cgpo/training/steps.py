"""The prompts of each update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Self

from torch.utils.data import DataLoader, Dataset, Sampler

from cgpo.tasks.expert import Expert
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


class Batch(dict[str, Sequence[Prompt]]):
    """Prompts by task."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Itself: prompts are text, there is nothing to move to a device."""
        return self


class Steps(Dataset[Batch]):
    """Item `t` is update `t`'s prompts of every task, a pure function of the seed and `t`.

    Args:
        experts: the tasks.
        updates: how many there are.
        seed: of the run.
    """

    def __init__(self, experts: Sequence[Expert], updates: int, seed: int) -> None:
        self.experts = tuple(experts)
        self.updates = updates
        self.seed = seed

    def __len__(self) -> int:
        """The number of updates."""
        return self.updates

    def __getitem__(self, step: int) -> Batch:
        """`B` prompts of each task."""
        return Batch({e.name: batch_at(e.prompts, e.batch_size, self.seed, step, e.name) for e in self.experts})

    def loader(self, done: int = 0) -> DataLoader[Any]:
        """In order, one update an item, without those that are done; as long as with them, for Lightning counts so."""
        return DataLoader(self, batch_size=None, sampler=_Rest(done, self.updates), collate_fn=as_it_is)


class _Rest(Sampler[int]):
    def __init__(self, done: int, updates: int) -> None:
        self._done = done
        self._updates = updates

    def __len__(self) -> int:
        return self._updates

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._done, self._updates))


def as_it_is(batch: Any) -> Any:
    """Prompts are not put together into tensors."""
    return batch
