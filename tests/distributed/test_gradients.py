"""A gradient added up over processes, and cut, by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from cgpo.distributed.gradients import by_mesh, summed_gradient
from cgpo.distributed.process_group import ALONE, Processes


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
    assert summed_gradient(model, ALONE, 1.0) == 5.0
    assert model.gradient == [pytest.approx(0.6, abs=1e-5), pytest.approx(0.8, abs=1e-5), None]


@pytest.mark.parametrize("clip", [None, 5.5])
def test_a_norm_is_left(clip: float | None) -> None:
    model = Three(3.0, 4.0)
    assert summed_gradient(model, ALONE, clip) == 5.0
    assert model.gradient == [3.0, 4.0, None]


def test_what_has_no_gradient_gets_none() -> None:
    model = Three(None, -2.0)
    assert summed_gradient(model, ALONE, 1.0) == 2.0
    assert model.gradient == [None, -1.0, None]
    assert summed_gradient(Three(None, None), ALONE, 1.0) == 0.0


def test_processes_add_up_before_the_norm_is_taken() -> None:
    model = Three(3.0, None)
    assert summed_gradient(model, Other(gradient=(-3.0, 4.0)), 2.0) == 4.0
    assert model.gradient == [0.0, 2.0, None]


def test_a_process_without_a_gradient_takes_part() -> None:
    model = Three(None, None)
    assert summed_gradient(model, Other(gradient=(3.0, 4.0)), None) == 5.0
    assert model.gradient == [3.0, 4.0, None]


def test_where_none_has_a_gradient_there_is_none() -> None:
    model = Three(None, None)
    assert summed_gradient(model, Other(), 1.0) == 0.0
    assert model.gradient == [None, None, None], "so that weight decay does not move the weights"


def test_a_gradient_that_is_no_number_has_no_norm() -> None:
    assert math.isnan(summed_gradient(Three(float("nan"), 1.0), ALONE, 1.0))
    assert summed_gradient(Three(float("inf"), 1.0), ALONE, None) == math.inf


def test_whole_parameters_are_alike() -> None:
    parameters = list(Three(1.0, 2.0).parameters())
    assert by_mesh(parameters) == [parameters]
    assert by_mesh([]) == []
