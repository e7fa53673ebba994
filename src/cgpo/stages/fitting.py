"""Fits a model to examples by a loss, as every supervised stage does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import torch
from annotated_types import Ge, Gt, Le
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cgpo.bounds import Unit, check_fields
from cgpo.errors import UserError
from cgpo.progress import Work, bar
from cgpo.seeds import derived_seed
from cgpo.tensors import int_list
from cgpo.training.schedule import WarmupCosine

Example = TypeVar("Example")
Loss = Callable[[nn.Module, Sequence[Example]], Tensor]
"""Computes the mean loss of a model on a batch of examples."""


@dataclass(frozen=True)
class FitSettings:
    """How a model is fitted.

    Attributes:
        steps: the number of optimizer steps.
        batch_size: the number of examples in a step.
        learning_rate: the highest learning rate, reached after `warmup_steps`.
        warmup_steps: the number of steps in which the learning rate rises from 0.
        final_factor: the last learning rate of the cosine schedule, as a share of the highest.
        weight_decay: the weight decay of AdamW.
        clip_norm: the largest norm of the gradient.
        seed: the seed of the order of the examples.
        accelerator: Lightning's name of the device.

    Raises:
        UserError: a value is out of range.
    """

    steps: Annotated[int, Ge(1), Unit("steps")]
    batch_size: Annotated[int, Ge(1), Unit("examples")]
    learning_rate: Annotated[float, Gt(0)]
    warmup_steps: Annotated[int, Ge(0), Unit("steps")] = 10
    final_factor: Annotated[float, Ge(0), Le(1)] = 0.1
    weight_decay: Annotated[float, Ge(0)] = 0.0
    clip_norm: Annotated[float, Gt(0)] = 1.0
    seed: Annotated[int, Ge(0)] = 0
    accelerator: str = "cpu"

    def __post_init__(self) -> None:
        check_fields(self)


def fit(model: nn.Module, examples: Sequence[Example], loss: Loss[Example], settings: FitSettings, title: str) -> float:
    """Fits a model in place, showing a progress bar with the remaining time.

    Args:
        model: the model, whose parameters that require gradients are fitted.
        examples: the examples, in a new order every epoch.
        loss: computes the mean loss of a batch.
        settings: how the model is fitted.
        title: the title of the progress bar.

    Returns:
        The mean loss over the last tenth of the steps.

    Raises:
        UserError: there are no examples.
    """
    if not examples:
        raise UserError(f"{title}: there are no examples to fit to")
    trainer = Trainer(
        accelerator=settings.accelerator,
        devices=1,
        max_epochs=1,
        gradient_clip_val=settings.clip_norm,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,  # the bar below is shown instead
    )
    with bar(title, settings.steps) as work:
        fitted = _Fit(model.train(), loss, settings, work)
        trainer.fit(fitted, DataLoader(_Batches(examples, settings), batch_size=None, collate_fn=_unchanged))
    last = fitted.losses[-max(1, settings.steps // 10) :]
    return sum(last) / len(last)


class _Fit(LightningModule, Generic[Example]):
    def __init__(self, model: nn.Module, loss: Loss[Example], settings: FitSettings, work: Work) -> None:
        super().__init__()
        self.model = model
        self.losses: list[float] = []
        self._loss = loss
        self._settings = settings
        self._work = work

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch

    def training_step(self, batch: Sequence[Example]) -> Tensor:
        loss = self._loss(self.model, batch)
        self.losses.append(loss.item())
        self._work.advance(1, loss=self.losses[-1])
        return loss

    def configure_optimizers(self) -> Any:
        settings = self._settings
        optimizer = torch.optim.AdamW(
            [p for p in self.model.parameters() if p.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.98),
        )
        schedule = WarmupCosine(settings.steps, settings.warmup_steps, settings.final_factor)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class _Batches(Dataset[Any]):
    """The batches by step; every epoch visits each example once."""

    def __init__(self, examples: Sequence[Any], settings: FitSettings) -> None:
        self._examples = examples
        self._settings = settings
        self._epoch = -1
        self._order: list[int] = []

    def __len__(self) -> int:
        return self._settings.steps

    def __getitem__(self, step: int) -> list[Any]:
        size = self._settings.batch_size
        return [self._at(position) for position in range(step * size, (step + 1) * size)]

    def _at(self, position: int) -> Any:
        epoch, index = divmod(position, len(self._examples))
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derived_seed(self._settings.seed, "order", epoch))
            self._order = int_list(torch.randperm(len(self._examples), generator=generator))
            self._epoch = epoch
        return self._examples[self._order[index]]


def _unchanged(batch: Any) -> Any:
    return batch
