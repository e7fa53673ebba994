"""CGPO's step as `python -m cgpo.train` runs it: one task, CRPG, an empty panel of judges."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from cases import COPIES, Case, force_lengths, reward
from floor import Timed, now
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CRPG
from cgpo.policy.causal import load_policy
from cgpo.rollout import DecodingSampler
from cgpo.tasks.expert import Expert
from cgpo.training.module import CGPOModule
from cgpo.training.observer import Observer
from cgpo.training.steps import Steps
from cgpo.training.update import ConstrainedUpdate
from cgpo.types import Prompt, Rollout, Sample

warnings.filterwarnings("ignore", module="lightning")


class Ours:
    """The project's module under Lightning's trainer.

    Args:
        folder: of the model.
        texts: the prompts.
        case: how long responses are.
    """

    name = "cgpo"

    def __init__(self, folder: str, texts: Sequence[str], case: Case) -> None:
        policy = load_policy(folder)
        prompts = tuple(Prompt(str(i), text, response=text) for i, text in enumerate(texts))
        force_lengths(policy.model, case, len(policy.encode_prompt(prompts[0])), min(policy.eos_ids))
        expert = Expert(
            name="stories",
            prompts=prompts,
            held_out=(),
            reward=CheapReward(),
            panel=Panel({}),
            optimizer=CRPG(kl_max=1e6),  # no response leaves the objective
            sampler=DecodingSampler(case.longest),
            batch_size=len(prompts),
            responses_per_prompt=COPIES,
        )
        self.module = CGPOModule(
            policy, [expert], ConstrainedUpdate(), partial(torch.optim.AdamW, lr=1e-6), lambda _: 1.0, seed=0
        )

    def run(self, steps: int, **settings: Any) -> Timed:
        """Some steps after one that warms up, each from one step's end to the next one's; settings are of `train`."""
        clock = _Clock()
        train(self.module, steps + 1, clock, **settings)
        return clock.timed


def train(module: CGPOModule, updates: int, callback: Callback, **settings: Any) -> None:
    """Some updates under Lightning's trainer, without anything that a run has besides; further settings are its own."""
    trainer = Trainer(
        accelerator="cpu",
        max_steps=updates,
        logger=False,
        callbacks=[callback],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **settings,
    )
    trainer.fit(module, Steps(module.experts, updates, seed=0).loader())


class CheapReward:
    """Scores that cost nothing."""

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """`[N]`."""
        return torch.tensor([reward(sample.response) for sample in samples])


class _Clock(Observer):
    def __init__(self) -> None:
        self.timed = Timed()
        self._last = (0.0, 0.0)
        self._tokens = 0
        self._stages: dict[str, float] = {}

    def on_rollout(self, module: LightningModule, expert: Expert, rollout: Rollout) -> None:
        self._tokens = int(rollout.response_mask.sum())

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        self._stages[stage] = seconds

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        moment = now()
        if batch_idx:
            self.timed.add(self._last, moment, self._tokens)
            self.timed.stages.append(dict(self._stages))
        self._last = moment
