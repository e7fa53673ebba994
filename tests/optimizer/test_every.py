"""What holds for every optimizer of the package: a new one is tested by being there."""

import io
import math
from dataclasses import MISSING, fields, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
import torch
from tests.optimizer.batches import Response, Row, scored
from torch import Tensor

import cgpo.optimizer
from cgpo.optimizer import REINFORCE, ConstrainedOptimizer
from cgpo.types import TrainingBatch

REQUIRED: dict[str, Any] = {"kl_max": 2.0, "optimizer": REINFORCE()}
"""Values of hyper-parameters that have no default; any other number is 1."""


def every() -> list[ConstrainedOptimizer]:
    """An object of each class that can be made, with defaults wherever there are some."""
    modules = [import_module(f"cgpo.optimizer.{found.name}") for found in iter_modules(cgpo.optimizer.__path__)]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    return [
        kind(**{f.name: REQUIRED.get(f.name, 1.0) for f in fields(kind) if f.default is f.default_factory is MISSING})
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
        if issubclass(kind, ConstrainedOptimizer) and not kind.__abstractmethods__
    ]


OPTIMIZERS = pytest.mark.parametrize("optimizer", every(), ids=lambda o: type(o).__name__)


def a_batch(padding: int = 0, garbage: float = 0.0) -> TrainingBatch:
    """Two prompts with two responses each, of different lengths; one is violated, one has no token."""
    tall = Response((-1.0, -0.5, -0.25), (-1.5, -0.5, -0.5), 1.0)
    short, empty = Response((-2.0,), (-1.0,), -1.0, satisfied=False), Response((), (), 0.5)
    batch = scored([Row((tall, short), 0.25, True, (-1.0, -2.0)), Row((empty, tall))], padding, garbage)
    values = torch.full_like(batch.logprobs, 0.125).masked_fill(~batch.response_mask, garbage)
    return replace(batch, values=values, sampled_values=values, violated={"judge": ~batch.satisfied})


def differentiated(optimizer: ConstrainedOptimizer, batch: TrainingBatch) -> tuple[float, Tensor, dict[str, float]]:
    logprobs = batch.logprobs.clone().requires_grad_()
    objective, _ = optimizer.advance(replace(batch, logprobs=logprobs), optimizer.initial_state())
    (gradient,) = torch.autograd.grad(objective.loss, [logprobs])
    return objective.loss.item(), gradient[batch.response_mask], dict(objective.metrics)


@OPTIMIZERS
def test_a_scalar_that_is_attached_and_metrics_that_are_numbers(optimizer: ConstrainedOptimizer) -> None:
    loss, gradient, metrics = differentiated(optimizer, a_batch())
    assert math.isfinite(loss)
    assert gradient.isfinite().all()
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())


@OPTIMIZERS
@pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e30])
def test_masked_positions_are_never_read(optimizer: ConstrainedOptimizer, garbage: float) -> None:
    loss, gradient, metrics = differentiated(optimizer, a_batch())
    with_garbage, same, other = differentiated(optimizer, a_batch(2, garbage))
    assert with_garbage == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(same, gradient, rtol=1e-12, atol=1e-13)
    assert other == pytest.approx(metrics)


@OPTIMIZERS
def test_its_state_goes_through_a_checkpoint(optimizer: ConstrainedOptimizer) -> None:
    _, state = optimizer.advance(a_batch(), optimizer.initial_state())
    file = io.BytesIO()
    torch.save({"state": dict(state)}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)["state"]
    first, second = (optimizer.advance(a_batch(), of)[0] for of in (state, loaded))
    assert first.loss.item() == second.loss.item()
    assert first.metrics == second.metrics
