"""Lightning's data module of a run's prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from annotated_types import Ge
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Sampler

from cgpo.bounds import check_arguments
from cgpo.errors import UserError
from cgpo.tasks.expert import Expert
from cgpo.tasks.task import Task
from cgpo.training.hooks import LightningHooks
from cgpo.training.steps import Batch, Steps, unchanged


class PromptDataModule(LightningDataModule):
    """Loads each update's prompts of every task, and held-out prompts for Lightning's validation.

    An update's prompts depend only on the module's seed and the number of the update, so that a run that continues from
    a checkpoint gets the same prompts as without the interruption.

    Example:
        See `CGPOModule`.

    Args:
        tasks: the tasks of the module.
        evaluated: the most held-out prompts of each task in a validation; 0 for none.

    Raises:
        UserError: `evaluated` is negative.
    """

    def __init__(self, tasks: Sequence[Task | Expert], evaluated: Annotated[int, Ge(0)] = 100) -> None:
        super().__init__()
        check_arguments(PromptDataModule, {"evaluated": evaluated})
        self.tasks = tuple(tasks)
        self.evaluated = evaluated

    def train_dataloader(self) -> DataLoader[Any]:
        """Loads one item per update; if the trainer counts epochs, the longest task's prompts are one.

        Raises:
            UserError: the module has other tasks.
        """
        trainer = _trainer(self)
        experts, seed = self._of_module(trainer)
        updates = (
            trainer.max_steps if trainer.max_steps > 0 else max(-(-len(e.prompts) // e.batch_size) for e in experts)
        )
        sampler = _UpdatesFromNow(trainer, updates)
        return _Resumable(Steps(experts, updates, seed), batch_size=None, sampler=sampler, collate_fn=unchanged)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Loads the held-out prompts of all tasks as one item; returns nothing if no task has any."""
        experts, _ = self._of_module(_trainer(self))
        held_out: Any = [
            Batch({e.name: e.held_out[: self.evaluated]}) for e in experts if e.held_out and self.evaluated
        ]
        return [DataLoader(held_out, batch_size=None, collate_fn=unchanged)] if held_out else []

    def _of_module(self, trainer: Trainer) -> tuple[tuple[Expert, ...], int]:
        """Returns the module's tasks, without prompts that its policy cannot read, and its seed."""
        module = trainer.lightning_module
        if not isinstance(module, LightningHooks):
            raise UserError(f"PromptDataModule: it serves a cgpo.CGPOModule, not a {type(module).__name__}")
        experts = module.experts
        names, wanted = [expert.name for expert in experts], [task.name for task in self.tasks]
        if names != wanted:
            raise UserError(
                f"PromptDataModule.tasks are {', '.join(wanted) or 'none'}, but those of the module "
                f"{', '.join(names) or 'none'}: give both the same"
            )
        return experts, module.seed


def _trainer(module: LightningDataModule) -> Trainer:
    if module.trainer is None:
        raise UserError("PromptDataModule: a trainer asks it for its prompts; call trainer.fit(module, data)")
    return module.trainer


class _Resumable(DataLoader[Any]):
    """A loader that Lightning need not wind forward, since the next item depends only on the trainer's update."""

    def state_dict(self) -> dict[str, Any]:
        """Returns an empty state."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing."""


class _UpdatesFromNow(Sampler[int]):
    """The updates from the trainer's current one to the end of its epoch."""

    def __init__(self, trainer: Trainer, updates: int) -> None:
        self._trainer = trainer
        self._updates = updates

    def __len__(self) -> int:
        return self._updates

    def __iter__(self) -> Iterator[int]:
        done = self._trainer.global_step
        return iter(range(done, (done // self._updates + 1) * self._updates))
