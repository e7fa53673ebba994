"""A whole batch from its parts: in the order of its prompts, padded, with the places of this process's part."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from cgpo.distributed.gathering import gather_batch
from cgpo.distributed.process_group import ALONE, Processes
from cgpo.types import Baseline, TrainingBatch


def training_batch(*names: int, width: int = 1) -> TrainingBatch:
    """Prompts whose every number is their name, with two responses of so many tokens each."""
    one = torch.tensor(names, dtype=torch.float64)
    two = one[:, None].repeat(1, 2)
    tokens = two[..., None].repeat(1, 1, width)
    even = one % 2 == 0
    return TrainingBatch(
        logprobs=tokens,
        reference_logprobs=tokens + 0.25,
        sampled_logprobs=tokens,
        response_mask=torch.ones_like(tokens, dtype=torch.bool),
        reward=two.float(),
        satisfied=even[:, None].repeat(1, 2),
        decided=torch.ones_like(two, dtype=torch.bool),
        identity=two.long(),
        baseline=Baseline(one.float(), even, one[:, None], even[:, None]),
        violated={"judge": ~even[:, None].repeat(1, 2)},
    )


@dataclass(frozen=True)
class Heard(Processes):
    """Processes that say what they are told to say."""

    parts: tuple[TrainingBatch, ...] = ()

    def rows(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        found: list[list[Tensor]] = [[] for _ in self.parts]
        for part, own in zip(self.parts, found, strict=True):
            part.map(lambda tensor, own=own: own.append(tensor) or tensor)
        assert all(torch.equal(a, b) for a, b in zip(found[self.rank], tensors, strict=True))
        width = max(part.logprobs.shape[2] for part in self.parts)
        return [[pad(t, (0, width - t.shape[2])) if t.dim() == 3 else t for t in own] for own in found]


def test_rows_come_in_the_order_of_the_prompts() -> None:
    """Dealing begins with process 1: of five prompts it takes 0, 3; process 2 takes 1, 4; process 0 takes 2."""
    parts = (training_batch(2, width=3), training_batch(0, 3), training_batch(1, 4, width=2))
    for rank, places in enumerate([[2], [0, 3], [1, 4]]):
        whole, rows = gather_batch(parts[rank], Heard(rank, 3, parts=parts), count=5, offset=4)
        assert rows.tolist() == places
        assert whole.reward.tolist() == [[float(i)] * 2 for i in range(5)]
        assert whole.identity[:, 0].tolist() == [0, 1, 2, 3, 4]
        assert whole.baseline.reward.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert whole.satisfied[:, 1].tolist() == [True, False, True, False, True]
        assert whole.violated["judge"][:, 0].tolist() == [False, True, False, True, False]
        assert whole.logprobs.shape == (5, 2, 3)
        assert whole.response_mask.sum((1, 2)).tolist() == [2, 4, 6, 2, 4]
        assert whole.reference_logprobs[3, 0].tolist() == [3.25, 0.0, 0.0]
        assert (whole.reward.dtype, whole.logprobs.dtype) == (torch.float32, torch.float64)


def test_a_process_without_a_prompt_has_no_rows() -> None:
    parts = (training_batch(), training_batch(7))
    whole, rows = gather_batch(parts[0], Heard(0, 2, parts=parts), count=1, offset=1)
    assert (rows.tolist(), whole.reward.tolist()) == ([], [[7.0, 7.0]])


def test_a_sampler_may_answer_several_prompts_for_each_that_it_is_asked() -> None:
    """Each of two processes was asked for one prompt of two, and answers two."""
    parts = (training_batch(0, 1), training_batch(2, 3))
    whole, rows = gather_batch(parts[1], Heard(1, 2, parts=parts), count=2, offset=0)
    assert (rows.tolist(), whole.baseline.reward.tolist()) == ([2, 3], [0.0, 1.0, 2.0, 3.0])


def test_alone_the_part_is_the_whole() -> None:
    part = training_batch(4, 6)
    whole, rows = gather_batch(part, ALONE, count=2, offset=1)
    assert whole is part
    assert rows.tolist() == [0, 1]
