"""The processes that train one policy: which prompts of a batch each takes, and what they exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as torch_distributed
from torch.nn.functional import pad

from cgpo.tensors import int_list

T = TypeVar("T")
distributed: Any = torch_distributed  # its functions are annotated in part


@dataclass(frozen=True)
class Processes:
    """Data-parallel processes share a batch; tensor-parallel peers share one copy's matrices and its part of the batch.

    The default is one process alone, which exchanges nothing. Otherwise every process must call the same methods in
    the same order.

    Attributes:
        rank: the rank of this process among those that share a batch.
        size: the number of processes that share a batch.
        group: their process group.
        peer: the rank of this process among its tensor-parallel peers; peer 0 speaks for them.
        peers: the number of tensor-parallel peers.
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
        """Whether there is no other process."""
        return self.size * self.peers == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0 and self.peer == 0

    def places(self, count: int, offset: int = 0, rank: int | None = None) -> list[int]:
        """Lists the places, among `count`, that a process takes: every `size`-th.

        Args:
            count: the number of places.
            offset: where dealing starts, so that several short batches do not all begin with process 0.
            rank: the process; this one by default.
        """
        first = ((self.rank if rank is None else rank) - offset) % self.size
        return list(range(first, count, self.size))

    def largest(self, number: int) -> int:
        """Returns the largest number that any process passes."""
        if self.alone:
            return number
        largest = torch.tensor(number)
        distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
        return int(largest)

    def any(self, condition: bool) -> bool:
        """Tells whether a condition holds in any process."""
        return bool(self.largest(int(condition)))

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Adds up tensors over the processes that share a batch, in place, with one message for each dtype."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.flatten() for tensor in alike])
            distributed.all_reduce(flat, group=self.group)
            for tensor, total in zip(alike, torch.split(flat, [t.numel() for t in alike]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def objects(self, value: T) -> list[T]:
        """Gathers a value from each process that shares a batch, in the order of ranks."""
        return _all_gather_object(value, self.size, self.group) if self.size > 1 else [value]

    def everybody(self, value: T) -> list[T]:
        """Gathers a value from every process, tensor-parallel peers included."""
        return [value] if self.alone else _all_gather_object(value, self.size * self.peers, None)

    def rows(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        """Gathers every process's tensors, in the order of ranks, as the first of its peers has them.

        Args:
            tensors: `[n, …]` each, on one device. Every process passes as many, of the same dtypes and numbers of
                dimensions; `n` may differ.

        Returns:
            A list of tensors for each rank. All dimensions but the first are padded with zeros to the largest of any
            process.
        """
        if self.alone:
            return [list(tensors)]
        shapes = self._shapes(tensors)
        largest = [int_list(of_tensor) for of_tensor in shapes.amax(0)]
        packed = torch.cat([_bytes(_pad_to(t, size)) for t, size in zip(tensors, largest, strict=True)])
        gathered = [torch.empty_like(packed) for _ in range(self.size)]
        distributed.all_gather(gathered, packed, group=self.group)
        if self.peers > 1:
            for part in gathered:
                distributed.broadcast(part, group=self.peer_group, group_src=0)
        counts = [int_list(of_rank[:, 0]) for of_rank in shapes]
        return [_unpack(part, tensors, largest, count) for part, count in zip(gathered, counts, strict=True)]

    def _shapes(self, tensors: Sequence[Tensor]) -> Tensor:
        """Gathers `[size, tensors, dimensions]`, every process's shapes, filled up with ones."""
        deepest = max(tensor.dim() for tensor in tensors)
        own = torch.tensor([[*t.shape, *[1] * (deepest - t.dim())] for t in tensors])
        gathered = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(gathered, own, group=self.group)
        shapes = torch.stack(gathered)
        if self.peers > 1:
            distributed.broadcast(shapes, group=self.peer_group, group_src=0)
        return shapes


ALONE = Processes()
"""A run of one process."""


def _all_gather_object(value: T, size: int, group: Any) -> list[T]:
    gathered: list[Any] = [None] * size
    distributed.all_gather_object(gathered, value, group=group)
    return gathered


def _pad_to(tensor: Tensor, size: Sequence[int]) -> Tensor:
    missing = [want - have for want, have in zip(size, tensor.shape, strict=False)]
    return pad(tensor, [n for gap in reversed(missing) for n in (0, gap)])


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def _unpack(
    packed: Tensor, like: Sequence[Tensor], largest: Sequence[Sequence[int]], counts: Sequence[int]
) -> list[Tensor]:
    """Turns one process's bytes back into its tensors, `[n, …]` each."""
    tensors: list[Tensor] = []
    start = 0
    for tensor, size, count in zip(like, largest, counts, strict=True):
        shape = torch.Size(size[: tensor.dim()])
        length = shape.numel() * tensor.element_size()
        # Copied, because a view of another dtype must start at a multiple of its size.
        tensors.append(packed[start : start + length].clone().view(tensor.dtype).view(shape)[:count])
        start += length
    return tensors
