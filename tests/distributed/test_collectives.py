"""A whole batch from its parts, in the order of its prompts; a gradient added up over processes, and clipped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cgpo.distributed.collectives import gather_batch, group_by_mesh, reduce_gradient
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


class Three(nn.Module):
    """Three weights, of which the last is frozen."""

    def __init__(self, first: float | None, second: float | None) -> None:
        super().__init__()
        self.first, self.second, self.frozen = (nn.Parameter(torch.zeros(1)) for _ in range(3))
        self.frozen.requires_grad_(False)
        for weight, value in ((self.first, first), (self.second, second)):
            weight.grad = None if value is None else torch.tensor([value])

    @property
    def gradient(self) -> list[float | None]:
        return [None if p.grad is None else round(p.grad.item(), 6) for p in (self.first, self.second, self.frozen)]


@dataclass(frozen=True)
class Other(Processes):
    """A second process, which has a gradient of its own or none."""

    size: int = 2
    gradient: tuple[float, ...] = ()

    def any(self, holds: bool) -> bool:
        return holds or bool(self.gradient)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        for tensor, value in zip(tensors, self.gradient or (0.0,) * len(tensors), strict=True):
            tensor += value


def test_a_norm_is_cut() -> None:
    model = Three(3.0, 4.0)
    assert reduce_gradient(model, ALONE, 1.0) == 5.0
    assert model.gradient == [pytest.approx(0.6, abs=1e-5), pytest.approx(0.8, abs=1e-5), None]


@pytest.mark.parametrize("clip", [None, 5.5])
def test_a_norm_is_left(clip: float | None) -> None:
    model = Three(3.0, 4.0)
    assert reduce_gradient(model, ALONE, clip) == 5.0
    assert model.gradient == [3.0, 4.0, None]


def test_what_has_no_gradient_gets_none() -> None:
    model = Three(None, -2.0)
    assert reduce_gradient(model, ALONE, 1.0) == 2.0
    assert model.gradient == [None, -1.0, None]
    assert reduce_gradient(Three(None, None), ALONE, 1.0) == 0.0


def test_processes_add_up_before_the_norm_is_taken() -> None:
    model = Three(3.0, None)
    assert reduce_gradient(model, Other(gradient=(-3.0, 4.0)), 2.0) == 4.0
    assert model.gradient == [0.0, 2.0, None]


def test_a_process_without_a_gradient_takes_part() -> None:
    model = Three(None, None)
    assert reduce_gradient(model, Other(gradient=(3.0, 4.0)), None) == 5.0
    assert model.gradient == [3.0, 4.0, None]


def test_where_none_has_a_gradient_there_is_none() -> None:
    model = Three(None, None)
    assert reduce_gradient(model, Other(), 1.0) == 0.0
    assert model.gradient == [None, None, None], "so that weight decay does not move the weights"


def test_a_gradient_that_is_no_number_has_no_norm() -> None:
    assert math.isnan(reduce_gradient(Three(float("nan"), 1.0), ALONE, 1.0))
    assert reduce_gradient(Three(float("inf"), 1.0), ALONE, None) == math.inf


def test_whole_parameters_are_alike() -> None:
    parameters = list(Three(1.0, 2.0).parameters())
    assert group_by_mesh(parameters) == [parameters]
    assert group_by_mesh([]) == []
