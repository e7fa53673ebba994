"""Runs of a few updates on tasks of fakes, around a real tiny model."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import expert
from torch import Tensor

from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CODPO, CRRAFT
from cgpo.policy.causal import CausalPolicy
from cgpo.tasks.expert import Expert
from cgpo.training.module import CGPOModule
from cgpo.training.schedule import WarmupCosine
from cgpo.training.steps import Steps
from cgpo.training.update import ConstrainedUpdate

HELD_OUT = tuple(prompt(5 + i, 25 - i, response="w4") for i in range(5))
RATE = 0.05


def sgd(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=RATE)


def adam(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)


def module_of(experts: Sequence[Expert], policy: CausalPolicy | None = None, **settings: Any) -> CGPOModule:
    return CGPOModule(
        policy or tiny_policy(),
        experts,
        **{
            "update": ConstrainedUpdate(40),
            "weight_optimizer": sgd,
            "schedule": WarmupCosine(10, final_factor=1.0),
            "seed": 3,
            "clip_norm": None,
            **settings,
        },
    )


def fit(module: CGPOModule, updates: int, *callbacks: Callback, loggers: Any = False) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_steps=updates,
        logger=loggers,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Steps(module.experts, updates, module.seed).loader())
    return trainer


def weights(module: CGPOModule) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.model.parameters()]).clone()


def three_tasks() -> list[Expert]:
    return [
        expert(name="chat", weight=0.5),
        expert(name="math", weight=2.0, optimizer=CODPO(0.2, 0.1), responses_per_prompt=4),
        expert(name="safety", weight=1.5, optimizer=CRRAFT(5.0), panel=Panel({}), batch_size=3),
    ]


class Rows(Logger):
    """Keeps the rows that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "rows"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass
