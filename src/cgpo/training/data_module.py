"""The prompts of a run as Lightning's data module."""

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
from cgpo.training.steps import Batch, Steps, as_it_is


class PromptDataModule(LightningDataModule):
    """Each update's prompts of every task, and the held-out ones for Lightning's validation.

    An update's prompts depend on nothing but the module's seed and the number of the update, so that a run that goes on
    from a checkpoint gets the ones that it would have got.

    Example:
        See `CGPOModule`.

    Args:
        tasks: those of the module.
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
        """An item an update; where the trainer counts epochs, the longest task's prompts make one.

        Raises:
            UserError: the module has other tasks.
        """
        trainer = _trainer(self)
        experts, seed = self._of_module(trainer)
        updates = (
            trainer.max_steps if trainer.max_steps > 0 else max(-(-len(e.prompts) // e.batch_size) for e in experts)
        )
        sampler = _Onwards(trainer, updates)
        return _Resumable(Steps(experts, updates, seed), batch_size=None, sampler=sampler, collate_fn=as_it_is)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """The held-out prompts, an item a task; none where no task has any."""
        experts, _ = self._of_module(_trainer(self))
        held_out: Any = [
            Batch({e.name: e.held_out[: self.evaluated]}) for e in experts if e.held_out and self.evaluated
        ]
        return [DataLoader(held_out, batch_size=None, collate_fn=as_it_is)] if held_out else []

    def _of_module(self, trainer: Trainer) -> tuple[tuple[Expert, ...], int]:
        """The tasks as the module has them, without prompts that its policy cannot read; and its seed."""
        module: Any = trainer.lightning_module
        experts: tuple[Expert, ...] = getattr(module, "experts", ())
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
    """Tells Lightning that it need not be wound forward: what comes next depends on the trainer's update alone."""

    def state_dict(self) -> dict[str, Any]:
        """None."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """There is nothing to load."""


class _Onwards(Sampler[int]):
    """The updates from where the trainer is to the end of its epoch."""

    def __init__(self, trainer: Trainer, updates: int) -> None:
        self._trainer = trainer
        self._updates = updates

    def __len__(self) -> int:
        return self._updates

    def __iter__(self) -> Iterator[int]:
        done = self._trainer.global_step
        return iter(range(done, (done // self._updates + 1) * self._updates))
