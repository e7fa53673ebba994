"""The LightningModule: it only orders the calls of one iteration (Algorithm 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from cgpo.policy.causal import CausalPolicy
from cgpo.seeds import derived_seed
from cgpo.tasks.baseline import BaselineCache, BaselineResponse
from cgpo.tasks.expert import Expert
from cgpo.trainer.observer import observers
from cgpo.trainer.update import ConstrainedUpdate
from cgpo.types import Prompt, Rollout, Scored, Verdicts

OptimizerFactory = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
Batch = Mapping[str, Sequence[Prompt]]


@dataclass(frozen=True)
class Drawn:
    """A task's responses, with their rewards, while its judges are still at work."""

    rollout: Rollout
    reward: Tensor
    verdicts: Future[Verdicts]


@dataclass(frozen=True)
class Assessed:
    """A task's batch as its optimizer sees it, with what its gradient needs."""

    rollout: Rollout
    baselines: Sequence[BaselineResponse]
    scored: Scored


class CGPOModule(LightningModule):
    """CGPO on many tasks: every task's gradient at the same weights, then one optimizer step.

    Args:
        policy: what is trained.
        experts: the tasks, in a fixed order.
        update: the constrained step.
        weight_optimizer: makes the torch optimizer of parameter groups: the policy's, and the critic's if there is one.
        schedule: factor of the learning rate after so many updates.
        seed: of the run; every random number is derived from it.
        clip_norm: the gradient's largest norm; `None` leaves it.
        baseline: where baseline responses come from, see `BaselineCache`.
    """

    def __init__(
        self,
        policy: CausalPolicy,
        experts: Sequence[Expert],
        update: ConstrainedUpdate,
        weight_optimizer: OptimizerFactory,
        schedule: Callable[[int], float],
        seed: int,
        clip_norm: float | None = 1.0,
        baseline: str = "golden",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = policy.model
        self.policy = policy
        self.reference = policy.frozen_copy()
        self.experts = tuple(experts)
        self.update = update
        self.critic = update.attach(policy)
        self.seed = seed
        self.clip_norm = clip_norm
        self._weight_optimizer = weight_optimizer
        self._schedule = schedule
        self.baselines = {e.name: BaselineCache(e, self.reference, seed, baseline) for e in experts}

    def on_fit_start(self) -> None:
        """Puts the reference beside the policy; it is no submodule, so that no checkpoint carries it."""
        torch.nn.Module.to(self.reference.model, self.device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Prompts are text: there is nothing to move."""
        return batch

    def training_step(self, batch: Batch) -> None:
        """One iteration: prompts ─▶ rollout ─▶ reward ─▶ verdicts ─▶ objective, for every task; then one step.

        All tasks draw first, so that one task's judges work while the next task's responses are generated; then each
        task's gradient is added to the policy's at the same weights. Only one task's graph is alive at a time. Nothing
        waits for a verdict that can be done without it.
        """
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        drawn = {expert.name: self.draw(expert, batch[expert.name]) for expert in self.experts}
        assessed: dict[str, Assessed] = {}
        for expert in self.experts:
            assessed[expert.name] = self.assess(expert, drawn.pop(expert.name))
            self.improve(expert, assessed[expert.name])
        for _ in range(1, self.update.epochs):
            with self.stage("step"):
                self.clip()
                # Lightning counts the steps of its own optimizer, and an iteration is one.
                optimizer.optimizer.step()
                optimizer.zero_grad()
            for expert in self.experts:
                self.improve(expert, self.again(expert, assessed[expert.name]))
        with self.stage("step"):
            self.clip()
            optimizer.step()
            scheduler: Any = self.lr_schedulers()
            scheduler.step()

    def draw(self, expert: Expert, prompts: Sequence[Prompt]) -> Drawn:
        """Rolls out a task's prompts, sends the responses to its judges, and scores them meanwhile.

        The prompts' baseline responses, where they are new, are on their way to the judges before that.
        """
        with self.stage("baselines", expert):
            self.baselines[expert.name].texts(prompts)
        seed = derived_seed(self.seed, "rollout", self.global_step, expert.name, self.global_rank)
        with self.stage("rollout", expert):
            rollout = expert.sampler.sample(self.policy, prompts, expert.responses_per_prompt, seed)
        self.tell("on_rollout", expert, rollout)
        verdicts = expert.panel.submit(rollout.samples)
        with self.stage("reward", expert):
            reward = expert.reward.score(rollout.samples)
        self.tell("on_reward", expert, rollout, reward)
        return Drawn(rollout, reward, verdicts)

    def assess(self, expert: Expert, drawn: Drawn) -> Assessed:
        """Waits for a task's verdicts, and gathers what its optimizer sees."""
        rollout = drawn.rollout
        with self.stage("reference", expert):
            texts = self.baselines[expert.name].texts(rollout.prompts)
            forward = self.update.forward(self.policy, self.reference, expert, rollout, texts)
        with self.stage("judges", expert):
            verdicts = drawn.verdicts.result()
            baselines = self.baselines[expert.name].lookup(rollout.prompts)
        self.tell("on_verdicts", expert, rollout, verdicts)
        scored = self.update.score(rollout, forward, drawn.reward, verdicts, baselines)
        self.tell("on_scored", expert, rollout, verdicts, scored)
        return Assessed(rollout, baselines, scored)

    def again(self, expert: Expert, assessed: Assessed) -> Assessed:
        """The same responses at the weights of now."""
        with self.stage("update", expert):
            return replace(assessed, scored=self.update.refresh(self.policy, assessed.rollout, assessed.scored))

    def improve(self, expert: Expert, assessed: Assessed) -> None:
        """Adds `ρ_l` times a task's gradient to the policy's."""
        rollout, baselines, scored = assessed.rollout, assessed.baselines, assessed.scored
        with self.stage("update", expert):
            objective = self.update.backward(self.policy, expert, rollout, scored, baselines, self.manual_backward)
        self.tell("on_objective", expert, objective)

    def clip(self) -> None:
        """Cuts the gradient to its largest norm, the critic's apart from the policy's."""
        if self.clip_norm is not None:
            for model in (self.model, self.critic):
                if model is not None:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), self.clip_norm)

    def configure_optimizers(self) -> Any:
        """The policy's optimizer and its learning-rate schedule, stepped once an update."""
        groups: list[dict[str, Any]] = [{"params": [p for p in self.model.parameters() if p.requires_grad]}]
        if self.critic is not None:
            groups.append({"params": list(self.critic.parameters()), "lr": self.update.critic_learning_rate})
        optimizer = self._weight_optimizer(groups)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, self._schedule)]

    def tell(self, hook: str, *args: Any) -> None:
        """Calls a hook of every observer among the trainer's callbacks."""
        for observer in observers(self.trainer.callbacks):  # pyright: ignore[reportAttributeAccessIssue]
            getattr(observer, hook)(self, *args)

    @contextmanager
    def stage(self, name: str, expert: Expert | None = None) -> Iterator[None]:
        """Times a stage, of one task or of all (`None`), and tells the observers."""
        self.tell("on_stage_start", name, expert)
        start = time.perf_counter()
        yield
        self.tell("on_stage", name, time.perf_counter() - start)
