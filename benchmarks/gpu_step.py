"""CGPO's step on a GPU, as `python -m cgpo.train` runs it: one task, CRPG, an empty panel of judges."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from gpu_bounds import PEAKS, cost_of
from gpu_policies import Sizes, build_policy, force_lengths, prompt_texts, reward
from lightning import LightningModule, Trainer
from torch import Tensor

from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CRPG
from cgpo.policy.causal import CausalPolicy
from cgpo.rollout import DecodingSampler
from cgpo.tasks.expert import Expert
from cgpo.training.module import CGPOModule
from cgpo.training.observer import Observer
from cgpo.training.steps import Steps
from cgpo.training.update import ConstrainedUpdate
from cgpo.types import Prompt, Rollout, Sample

STAGES = ("rollout", "reward", "reference", "update", "step")


class CheapReward:
    """Scores that cost nothing."""

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """`[N]`."""
        return torch.tensor([reward(sample.response) for sample in samples], dtype=torch.float32)


def measure_step(model: str, variant: str, sizes: Sizes, device: str) -> dict[str, Any]:
    """Some steps under Lightning's trainer after one that warms up.

    Args:
        model: name of a shape.
        variant: precision and engine, as `bf16 static`; `bf16`: weights in bfloat16, `bf16-mixed`: in float32, and
            computation in bfloat16.
        sizes: how much is run.
        device: `cuda` or `cpu`.
    """
    precision, engine = variant.split()
    policy = build_policy(model, device, torch.bfloat16 if precision == "bf16" else torch.float32)
    force_lengths(policy.model, sizes)
    module = _module(policy, engine, sizes)
    clock = _Clock(device)
    trainer = Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision="32-true" if precision == "bf16" else precision,  # pyright: ignore[reportArgumentType]
        max_steps=sizes.steps + 1,
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, Steps(module.experts, sizes.steps + 1, seed=0).loader())
    return clock.summary(policy.model)


def _module(policy: CausalPolicy, engine: str, sizes: Sizes) -> CGPOModule:
    texts = prompt_texts(sizes.prompts, sizes.prompt, sizes.prompt * 3 // 4, policy.model.config.vocab_size)
    prompts = tuple(Prompt(str(i), text, response=text) for i, text in enumerate(texts))
    expert = Expert(
        name="words",
        prompts=prompts,
        held_out=(),
        reward=CheapReward(),
        panel=Panel({}),
        optimizer=CRPG(kl_max=1e6),  # no response leaves the objective
        sampler=DecodingSampler(sizes.longest, engine=engine),
        batch_size=len(prompts),
        responses_per_prompt=sizes.copies,
    )
    adamw = partial(torch.optim.AdamW, lr=1e-6)
    return CGPOModule(policy, [expert], ConstrainedUpdate(), adamw, lambda _: 1.0, seed=0)


def wait_for(device: str) -> float:
    """The clock, when the device has done all that it was asked for."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class _Clock(Observer):
    """Times the stages anew: a device works on when the module has stopped its own clock."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._start = self._last = 0.0
        self._stages: dict[str, float] = {}
        self._lengths: list[tuple[int, int]] = []
        self.steps: list[tuple[float, dict[str, float], list[tuple[int, int]]]] = []

    def on_rollout(self, module: LightningModule, expert: Expert, rollout: Rollout) -> None:
        copies = len(rollout.responses) // len(rollout.prompts)
        prompts = [len(ids) for ids in rollout.prompt_ids for _ in range(copies)]
        self._lengths = list(zip(prompts, rollout.response_mask.sum(-1).tolist(), strict=True))

    def on_stage_start(self, module: LightningModule, stage: str, expert: Expert | None) -> None:
        self._start = wait_for(self.device)

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        self._stages[stage] = self._stages.get(stage, 0.0) + wait_for(self.device) - self._start

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        moment = wait_for(self.device)
        if batch_idx:
            self.steps.append((moment - self._last, self._stages, self._lengths))
        self._stages, self._last = {}, moment

    def summary(self, model: Any) -> dict[str, Any]:
        """Medians over the steps; shares of the peak are `None` where the device's is not known."""
        peak = PEAKS.get(torch.cuda.get_device_name()) if self.device == "cuda" else None
        cost = cost_of(model)
        tokens = [sum(response for _, response in lengths) for _, _, lengths in self.steps]
        rates = [count / step[0] for count, step in zip(tokens, self.steps, strict=True)]
        flops = [cost.update_flops(lengths) / stages["update"] for _, stages, lengths in self.steps]
        return {
            "seconds": statistics.median(step[0] for step in self.steps),
            "stages": {name: statistics.median(step[1][name] for step in self.steps) for name in STAGES},
            "tokens": statistics.mean(tokens),
            "tokens_a_second": statistics.median(rates),
            "update_flops_a_second": statistics.median(flops),
            "update_utilisation": None if peak is None else statistics.median(flops) / peak.flops,
            "steps": len(self.steps),
        }
