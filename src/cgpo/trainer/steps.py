"""The prompts of each update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from cgpo.data.stream import batch_at
from cgpo.tasks.expert import Expert
from cgpo.types import Prompt


class Steps(Dataset[dict[str, tuple[Prompt, ...]]]):
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

    def __getitem__(self, step: int) -> dict[str, tuple[Prompt, ...]]:
        """`B` prompts of each task."""
        return {e.name: batch_at(e.prompts, e.batch_size, self.seed, step, e.name) for e in self.experts}

    def loader(self, done: int = 0) -> DataLoader[Any]:
        """In order, one update an item, without those that are done; as long as with them, for Lightning counts so."""
        return DataLoader(self, batch_size=None, sampler=_Rest(done, self.updates), collate_fn=_as_it_is)


class _Rest(Sampler[int]):
    def __init__(self, done: int, updates: int) -> None:
        self._done = done
        self._updates = updates

    def __len__(self) -> int:
        return self._updates

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._done, self._updates))


def _as_it_is(batch: Any) -> Any:
    return batch
