"""Fitting a model to examples by a loss: what every supervised stage does."""

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
from cgpo.training.schedule import WarmupCosine

E = TypeVar("E")
Loss = Callable[[nn.Module, Sequence[E]], Tensor]


@dataclass(frozen=True)
class FitSettings:
    """How a model is fitted.

    Attributes:
        steps: optimizer steps.
        batch_size: examples a step.
        learning_rate: the highest, after `warmup_steps`.
        warmup_steps: steps in which the learning rate rises from 0.
        final_factor: what the cosine schedule lowers the learning rate to, as a share of the highest.
        weight_decay: of AdamW.
        clip_norm: the gradient's largest norm.
        seed: of the examples' order.
        accelerator: Lightning's name of the device.

    Raises:
        UserError: a value is out of its range.
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


def fit(model: nn.Module, examples: Sequence[E], loss: Loss[E], settings: FitSettings, title: str) -> float:
    """Fits a model in place, showing a progress bar with the remaining time.

    Args:
        model: its parameters that require gradients are fitted.
        examples: passed over epoch by epoch, each in an order of its own.
        loss: mean loss of a batch of examples.
        settings: how.
        title: what the progress bar says.

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
        enable_progress_bar=False,  # ours goes where all lines go
    )
    with bar(title, settings.steps) as work:
        fitted = _Fit(model.train(), loss, settings, work)
        trainer.fit(fitted, DataLoader(_Batches(examples, settings), batch_size=None, collate_fn=_as_it_is))
    last = fitted.losses[-max(1, settings.steps // 10) :]
    return sum(last) / len(last)


class _Fit(LightningModule, Generic[E]):
    def __init__(self, model: nn.Module, loss: Loss[E], settings: FitSettings, work: Work) -> None:
        super().__init__()
        self.model = model
        self.losses: list[float] = []
        self._loss = loss
        self._settings = settings
        self._work = work

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch

    def training_step(self, batch: Sequence[E]) -> Tensor:
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
    """Item `t` is the batch of step `t`; every epoch visits each example once."""

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
            self._order = torch.randperm(len(self._examples), generator=generator).tolist()
            self._epoch = epoch
        return self._examples[self._order[index]]


def _as_it_is(batch: Any) -> Any:
    return batch
