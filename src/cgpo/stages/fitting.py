"""Fitting a model to examples by a loss: what every supervised stage does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cgpo.errors import UserError
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

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 10
    final_factor: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    seed: int = 0
    accelerator: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}: it must be above 0")


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
    fitted = _Fit(model.train(), loss, settings)
    trainer = Trainer(
        accelerator=settings.accelerator,
        devices=1,
        max_epochs=1,
        gradient_clip_val=settings.clip_norm,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[_Bar(title)],
    )
    trainer.fit(fitted, DataLoader(_Batches(examples, settings), batch_size=None, collate_fn=_as_it_is))
    last = fitted.losses[-max(1, settings.steps // 10) :]
    return sum(last) / len(last)


class _Fit(LightningModule, Generic[E]):
    def __init__(self, model: nn.Module, loss: Loss[E], settings: FitSettings) -> None:
        super().__init__()
        self.model = model
        self.losses: list[float] = []
        self._loss = loss
        self._settings = settings

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch

    def training_step(self, batch: Sequence[E]) -> Tensor:
        loss = self._loss(self.model, batch)
        self.losses.append(loss.item())
        self.log("loss", loss, prog_bar=True, batch_size=len(batch))
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


class _Bar(TQDMProgressBar):
    """A bar that says what is fitted."""

    def __init__(self, title: str) -> None:
        super().__init__(refresh_rate=10)
        self._title = title

    @property
    def train_description(self) -> str:
        return self._title

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(self._title)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


def _as_it_is(batch: Any) -> Any:
    return batch
