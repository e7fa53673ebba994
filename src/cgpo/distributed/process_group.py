"""The processes that train one policy together: who takes which prompts of a batch, and what they tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.nn.functional import pad

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Data-parallel processes share a batch; tensor-parallel peers share one copy's matrices, and their part of it.

    Alone by default, when nothing is said to anybody. What is asked of all must be asked by all, in the same order.

    Attributes:
        rank: of this process among those that share a batch.
        size: how many share it.
        group: their process group.
        peer: rank of this process among its tensor-parallel peers; peer 0 speaks for them.
        peers: how many they are.
        peer_group: their process group.
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    peer: int = 0
    peers: int = 1
    peer_group: Any = None

    @property
    def alone(self) -> bool:
        """There is nobody else."""
        return self.size * self.peers == 1

    @property
    def first(self) -> bool:
        """This is the process that writes files."""
        return self.rank == 0 and self.peer == 0

    def places(self, count: int, offset: int = 0, rank: int | None = None) -> list[int]:
        """The places, among `count`, that a process takes: every `size`-th.

        Args:
            count: how many there are.
            offset: where the dealing goes on, so that several short batches do not all begin with process 0.
            rank: whose; this process's by default.
        """
        first = ((self.rank if rank is None else rank) - offset) % self.size
        return list(range(first, count, self.size))

    def largest(self, number: int) -> int:
        """The largest that any process names."""
        if self.alone:
            return number
        found = torch.tensor(number)
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
        return int(found)

    def any(self, holds: bool) -> bool:
        """Whether it holds for any process."""
        return bool(self.largest(int(holds)))

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Adds up tensors over the processes that share a batch, in place, as one message a dtype."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.flatten() for tensor in alike])
            distributed.all_reduce(flat, group=self.group)
            for tensor, total in zip(alike, flat.split([t.numel() for t in alike]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def objects(self, value: T) -> list[T]:
        """What each process that shares a batch says, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value, group=self.group)
        return found

    def everybody(self, value: T) -> list[T]:
        """What each of all processes says, tensor-parallel peers included."""
        if self.alone:
            return [value]
        found: list[Any] = [None] * (self.size * self.peers)
        distributed.all_gather_object(found, value)
        return found

    def rows(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        """Every process's tensors, in the order of ranks, as the first of its peers has them.

        All dimensions but the first are padded with zeros to the largest of any process.

        Args:
            tensors: `[n, …]` each, as many and of the same dtypes and dimensions at each process, on one device.
        """
        if self.alone:
            return [list(tensors)]
        shapes = self._shapes(tensors)
        most = shapes.amax(0).tolist()
        packed = torch.cat([_bytes(_padded(t, size)) for t, size in zip(tensors, most, strict=True)])
        found = [torch.empty_like(packed) for _ in range(self.size)]
        distributed.all_gather(found, packed, group=self.group)
        if self.peers > 1:
            for part in found:
                distributed.broadcast(part, group=self.peer_group, group_src=0)
        return [_unpacked(part, tensors, most, of_rank.tolist()) for part, of_rank in zip(found, shapes, strict=True)]

    def _shapes(self, tensors: Sequence[Tensor]) -> Tensor:
        """`[size, tensors, dimensions]`, filled up with ones."""
        deepest = max(tensor.dim() for tensor in tensors)
        own = torch.tensor([[*t.shape, *[1] * (deepest - t.dim())] for t in tensors])
        found = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(found, own, group=self.group)
        shapes = torch.stack(found)
        if self.peers > 1:
            distributed.broadcast(shapes, group=self.peer_group, group_src=0)
        return shapes


ALONE = Processes()
"""A run of one process."""


def _padded(tensor: Tensor, size: Sequence[int]) -> Tensor:
    missing = [want - have for want, have in zip(size, tensor.shape, strict=False)]
    return pad(tensor, [n for gap in reversed(missing) for n in (0, gap)])


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def _unpacked(
    packed: Tensor, like: Sequence[Tensor], most: Sequence[Sequence[int]], shapes: Sequence[Sequence[int]]
) -> list[Tensor]:
    """One process's tensors: `[n, …]` each, `n` its own."""
    found: list[Tensor] = []
    start = 0
    for tensor, size, own in zip(like, most, shapes, strict=True):
        shape = size[: tensor.dim()]
        length = torch.Size(shape).numel() * tensor.element_size()
        # A copy of its own: a view of another dtype must begin where such a number may.
        found.append(packed[start : start + length].clone().view(tensor.dtype).view(shape)[: own[0]])
        start += length
    return found
