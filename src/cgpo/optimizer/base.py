"""The base of optimizers: functions of a task's whole batch, and of a state if they keep one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cgpo.errors import UserError
from cgpo.types import Objective, TrainingBatch

OptimizerState = Mapping[str, object]
"""What an optimizer keeps between calls: numbers, texts and tensors by name, in mappings and lists."""


class ConstrainedOptimizer(ABC):
    """A task's objective: a pure function of the task's whole batch.

    The loss is a mean over the whole batch, whatever the number of processes, and is differentiated by
    `batch.logprobs`, and by `batch.baseline.logprobs` and `batch.values` if an attribute says so. Everything else is a
    constant. If nothing counts, the loss is 0 and still attached to the log-probabilities (`attached_zero`).

    Attributes:
        uses_baseline_logprobs: whether the objective is differentiated by the baseline responses' log-probabilities.
        uses_values: whether the objective needs a critic's values.
        min_responses: the fewest responses to a prompt that the objective can work with.
    """

    uses_baseline_logprobs: bool = False
    uses_values: bool = False
    min_responses: int = 1

    @abstractmethod
    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the loss and its metrics.

        Args:
            batch: the task's whole batch.
        """

    def initial_state(self) -> OptimizerState:
        """Returns the state before the first call, which is empty for an optimizer that keeps nothing."""
        return {}

    def advance(self, batch: TrainingBatch, state: OptimizerState) -> tuple[Objective, OptimizerState]:
        """Computes the objective in a state, and the next state; training calls this method.

        Args:
            batch: the task's whole batch.
            state: `initial_state()`, or what the last call returned. It is not changed.
        """
        return self(batch), state


class StatefulOptimizer(ConstrainedOptimizer):
    """An objective that depends on what it saw before, such as multipliers or adaptive weights.

    The optimizer itself stays pure: its state is a value that goes in and comes out of `advance`, so one optimizer can
    serve several tasks. A task's state is kept by `cgpo.training.CGPOModule`:

    - It moves with every call: once a task and step, of which an update takes `update.epochs`. Where the task's batch
      has a number that is not finite there is no call.
    - Every process computes the objective of the same whole batch, so all of them have the same state without
      exchanging anything. An `advance` that draws random numbers would break this; derive them from the batch.
    - A checkpoint holds it as `torch.load(weights_only=True)` can read it: numbers, texts, tensors, lists and mappings.
      A run that goes on takes it up, also on another number of processes.
    """

    @abstractmethod
    def initial_state(self) -> OptimizerState:
        """Returns the state before the first call."""

    @abstractmethod
    def advance(self, batch: TrainingBatch, state: OptimizerState) -> tuple[Objective, OptimizerState]:
        """Computes the objective in a state, and the next state; see `ConstrainedOptimizer.advance`."""

    def __call__(self, batch: TrainingBatch) -> Objective:
        """Computes the objective in the initial state."""
        return self.advance(batch, self.initial_state())[0]


def check_optimizer(key: str, optimizer: object) -> ConstrainedOptimizer:
    """Returns an object that is known to be an optimizer from then on.

    Args:
        key: where it was named, for the message.
        optimizer: what was given as an optimizer.

    Raises:
        UserError: it does not subclass `ConstrainedOptimizer`, or it is a class rather than an object.
    """
    kind = type(optimizer)
    if isinstance(optimizer, ConstrainedOptimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, ConstrainedOptimizer):
        raise UserError(f"{key}: {optimizer.__name__} is the class of an optimizer; call it, {optimizer.__name__}(...)")
    name = f"{kind.__module__}.{kind.__qualname__}"
    raise UserError(f"{key}: {name} is not an optimizer; subclass cgpo.optimizer.ConstrainedOptimizer")


@dataclass(frozen=True)
class Choice:
    """One response per prompt.

    Attributes:
        response: `[B]` its index among the prompt's responses.
        exists: `[B]` bool; `False` where the prompt has none, and `response` is meaningless.
    """

    response: Tensor
    exists: Tensor


@dataclass(frozen=True)
class Pair:
    """A better and a worse response per prompt.

    Attributes:
        better: `[B]` index of `a+`.
        worse: `[B]` index of `a−`.
        exists: `[B]` bool; `False` where the prompt has no pair, and the indices are meaningless.
    """

    better: Tensor
    worse: Tensor
    exists: Tensor
