"""The LightningModule: it only orders the calls of one iteration (Algorithm 2)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from cgpo.judges.silent import Silent
from cgpo.policy.causal import CausalPolicy
from cgpo.policy.sharding import gathered, is_sharded, models_of
from cgpo.processes import ALONE
from cgpo.seeds import derived_seed
from cgpo.tasks.baseline import BaselineCache, BaselineResponse
from cgpo.tasks.expert import Expert
from cgpo.trainer.gradients import by_mesh, settled_gradient
from cgpo.trainer.observer import observers
from cgpo.trainer.placing import shard_all
from cgpo.trainer.sharing import whole_batch
from cgpo.trainer.soundness import not_finite
from cgpo.trainer.strategies import meshes_of, processes_of
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
        clip_norm: the gradient's largest norm, the critic's apart from the policy's; `None` leaves it.
        baseline: where baseline responses come from, see `BaselineCache`.
        mixed: where models are sharded, compute in bfloat16 on weights in full precision.
        reference: `π_ref`, where it is to stay where it is, and whole; by default the policy as it is now, beside it.
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
        mixed: bool = False,
        reference: CausalPolicy | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = policy.model
        self.policy = policy
        self.reference = policy.frozen_copy() if reference is None else reference
        self._reference_stays = reference is not None
        self.experts = tuple(experts)
        self.update = update
        self.critic = update.attach(policy)
        self.seed = seed
        self.clip_norm = clip_norm
        self.mixed = mixed
        self._weight_optimizer = weight_optimizer
        self._schedule = schedule
        self.baseline = baseline
        self.processes = ALONE
        self.problems: dict[str, str] = {}
        self.baselines = self._baselines()
        sizes = [expert.batch_size for expert in self.experts]
        self._offsets = {e.name: offset for e, offset in zip(self.experts, accumulate(sizes, initial=0), strict=False)}

    def configure_model(self) -> None:
        """Finds out who shares the batch, and leaves each process its piece where models are sharded."""
        trainer: Any = self.trainer
        self.processes = self.update.processes = processes_of(trainer)
        if self.processes.peer:
            self._fall_silent()
        meshes = meshes_of(trainer)
        if meshes is not None and not is_sharded(self.model):
            rewards = [model for expert in self.experts for model in models_of(expert.reward)]
            own = [self.model, self.critic, None if self._reference_stays else self.reference.model]
            shard_all([model for model in own if model is not None], rewards, meshes, self.mixed)

    def on_fit_start(self) -> None:
        """Puts the reference beside the policy; it is no submodule, so that no checkpoint carries it."""
        if not self._reference_stays:
            torch.nn.Module.to(self.reference.model, self.device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Prompts are text: there is nothing to move."""
        return batch

    def training_step(self, batch: Batch) -> None:
        """One iteration: prompts ─▶ rollout ─▶ reward ─▶ verdicts ─▶ objective, for every task; then one step.

        All tasks draw first, so that one task's judges work while the next task's responses are generated; then each
        task's gradient is added to the policy's at the same weights. Only one task's graph is alive at a time. Nothing
        waits for a verdict that can be done without it. Of several processes each draws, judges and differentiates its
        own prompts of each task's batch; the objective is of the whole batch.
        """
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.problems.clear()
        drawn = {expert.name: self.draw(expert, batch[expert.name]) for expert in self.experts}
        assessed: dict[str, Assessed] = {}
        for expert in self.experts:
            assessed[expert.name] = self.assess(expert, drawn.pop(expert.name))
            self.improve(expert, assessed[expert.name])
        for _ in range(1, self.update.epochs):
            with self.stage("step"):
                self.settle()
                # Lightning counts the steps of its own optimizer, and an iteration is one.
                optimizer.optimizer.step()
                optimizer.zero_grad()
            for expert in self.experts:
                self.improve(expert, self.again(expert, assessed[expert.name]))
        with self.stage("step"):
            self.settle()
            optimizer.step()
            scheduler: Any = self.lr_schedulers()
            scheduler.step()
        if self.problems:
            self.tell("on_skipped", dict(self.problems), assessed)

    def draw(self, expert: Expert, prompts: Sequence[Prompt]) -> Drawn:
        """Rolls out this process's part of a task's prompts, sends it to the judges, and scores it meanwhile.

        The prompts' baseline responses, where they are new, are on their way to the judges before that.
        """
        own = self.own(expert, prompts)
        self.prepare(expert, list(own.values()))
        seeds = [derived_seed(self.seed, "rollout", self.global_step, expert.name, place) for place in own]
        with self.stage("rollout", expert), gathered(self.model):
            rollout = expert.sampler.sample(self.policy, list(own.values()), expert.responses_per_prompt, seeds)
        self.tell("on_rollout", expert, rollout)
        verdicts = expert.panel.submit(rollout.samples)
        with self.stage("reward", expert), gathered(*models_of(expert.reward)):
            reward = expert.reward.score(rollout.samples)
        self.tell("on_reward", expert, rollout, reward)
        return Drawn(rollout, reward, verdicts)

    def own(self, expert: Expert, prompts: Sequence[Prompt]) -> dict[int, Prompt]:
        """This process's part of a task's batch, by place."""
        places = self.processes.places(len(prompts), self._offsets[expert.name])
        return {place: prompts[place] for place in places}

    def prepare(self, expert: Expert, prompts: Sequence[Prompt]) -> None:
        """Draws and scores baseline responses that are new, and sends them to the judges; all processes together."""
        baselines = self.baselines[expert.name]
        if self.processes.any(baselines.lacks(prompts)):
            with self.stage("baselines", expert):
                baselines.make(prompts)

    def assess(self, expert: Expert, drawn: Drawn) -> Assessed:
        """Waits for a task's verdicts, and gathers what its optimizer sees."""
        rollout = drawn.rollout
        self.prepare(expert, rollout.prompts)
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
        """Adds `ρ_l` times a task's gradient to the policy's, unless a number of its batch is not finite."""
        rollout, baselines = assessed.rollout, assessed.baselines
        with self.stage("gather", expert):
            offset = self._offsets[expert.name]
            whole, rows = whole_batch(assessed.scored, self.processes, expert.batch_size, offset)
        if problem := not_finite(whole):
            self.problems[expert.name] = problem
            return
        with self.stage("update", expert):
            objective = self.update.backward(self.policy, expert, rollout, whole, baselines, self.manual_backward, rows)
        self.tell("on_objective", expert, objective)

    def settle(self) -> None:
        """Adds up the processes' gradients and cuts them; where a number was not finite there is no gradient at all."""
        models = [model for model in (self.model, self.critic) if model is not None]
        if not self.problems:
            norms = [settled_gradient(model, self.processes, self.clip_norm) for model in models]
            if not all(map(math.isfinite, norms)):
                self.problems["gradient"] = "the gradient is not finite"
        if self.problems:
            for model in models:
                model.zero_grad(set_to_none=True)

    def configure_optimizers(self) -> Any:
        """The policy's optimizer and its learning-rate schedule, stepped once an update."""
        groups = [{"params": of_mesh} for of_mesh in by_mesh(p for p in self.model.parameters() if p.requires_grad)]
        if self.critic is not None:
            rate = self.update.critic_learning_rate
            groups += [{"params": of_mesh, "lr": rate} for of_mesh in by_mesh(self.critic.parameters())]
        optimizer = self._weight_optimizer(groups)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, self._schedule)]

    def _fall_silent(self) -> None:
        """Leaves the judging to the first of tensor-parallel peers, who has the same samples."""
        for model in (model for expert in self.experts for model in models_of(expert.panel)):
            torch.nn.Module.to(model, "cpu")
        self.experts = tuple(
            replace(e, panel=Silent(e.panel.names, getattr(e.panel, "cached", ())), gold=None, also=None)
            for e in self.experts
        )
        self.baselines = self._baselines()

    def _baselines(self) -> dict[str, BaselineCache]:
        return {e.name: BaselineCache(e, self.reference, self.seed, self.baseline) for e in self.experts}

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
