"""The LightningModule, which puts the steps of an iteration in order (Algorithm 2)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from cgpo.distributed.collectives import gather_batch, group_by_mesh, reduce_gradient
from cgpo.distributed.process_group import ALONE
from cgpo.distributed.sharding import gathered_weights, is_sharded, models_of
from cgpo.judges.panel.panel import PeerPanel
from cgpo.policy.causal import CausalPolicy
from cgpo.seeds import derived_seed
from cgpo.tasks.baseline_responses import BaselineCache
from cgpo.tasks.expert import Expert
from cgpo.tasks.task import Task, bind_tasks
from cgpo.training.finite_checks import not_finite
from cgpo.training.hooks import LightningHooks
from cgpo.training.placement import shard_all
from cgpo.training.schedule import whole_run
from cgpo.training.steps import Batch
from cgpo.training.strategies import meshes_of, processes_of
from cgpo.training.update import ConstrainedUpdate, UpdateInputs
from cgpo.types import Prompt, Rollout, TrainingBatch, Verdicts

OptimizerFactory = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
LEARNING_RATE = 1e-5
"""AdamW's default, for a model of some hundred million parameters; a tiny model needs far more."""


@dataclass(frozen=True)
class PendingRollout:
    """A task's responses with their rewards, while the judges are still working."""

    rollout: Rollout
    reward: Tensor
    verdicts: Future[Verdicts]


@dataclass(frozen=True)
class JudgedRollout:
    """A task's batch as its optimizer sees it, with the inputs of its gradient."""

    rollout: Rollout
    inputs: UpdateInputs
    training_batch: TrainingBatch


class CGPOModule(LightningHooks):
    """CGPO on many tasks: every task's gradient at the same weights, then one optimizer step.

    Lightning's trainer runs it like any other module, with Lightning's callbacks, loggers and checkpoints. Metrics go
    to the trainer's loggers. If there are prompts for validation, held-out numbers can be monitored under
    `eval/<task>/success`, `eval/<task>/reward` and so on.

    Example:
        ```python
        import cgpo
        import lightning

        policy = cgpo.load_policy("artifact:sft")
        prompts = [f"Say hello to guest {n}." for n in range(40)]
        task = cgpo.Task("greetings", prompts, lambda sample: -len(sample.response), max_new_tokens=8)
        trainer = lightning.Trainer(max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.fit(cgpo.CGPOModule(policy, [task]), cgpo.PromptDataModule([task]))
        ```

    Args:
        policy: what is trained.
        tasks: the tasks, in a fixed order.
        update: the constrained step; by default one step per update, on micro-batches of 8192 tokens.
        weight_optimizer: makes the torch optimizer of parameter groups: the policy's, and the critic's if there is one;
            by default AdamW.
        schedule: returns the factor of the learning rate after so many updates; by default `WarmupCosine` over the
            trainer's steps.
        seed: the seed of the run, from which every random number is derived.
        learning_rate: the highest learning rate of AdamW, if there is no `weight_optimizer`.
        clip_norm: the largest norm of the gradient, separately for policy and critic; `None` for no limit.
        baseline_responses: where baseline responses come from, `golden` or `sampled`, see `BaselineCache`.
        mixed: whether sharded models compute in bfloat16 on weights in full precision.
        reference: `π_ref`, if it is to stay on its device and unsharded; by default a copy of the policy as it is now.

    Raises:
        UserError: a task has no prompt that the policy can read, or two have one name.
    """

    def __init__(
        self,
        policy: CausalPolicy,
        tasks: Sequence[Task | Expert],
        update: ConstrainedUpdate | None = None,
        weight_optimizer: OptimizerFactory | None = None,
        schedule: Callable[[int], float] | None = None,
        seed: int = 0,
        learning_rate: float = LEARNING_RATE,
        clip_norm: float | None = 1.0,
        baseline_responses: str = "golden",
        mixed: bool = False,
        reference: CausalPolicy | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = policy.model
        self.policy = policy
        self.reference = policy.frozen_copy() if reference is None else reference
        self._reference_stays = reference is not None
        self.experts = tuple(bind_tasks(tasks, policy))
        self.update = ConstrainedUpdate() if update is None else update
        self.critic = self.update.attach(policy)
        self.seed = seed
        self.clip_norm = clip_norm
        self.mixed = mixed
        self._weight_optimizer = weight_optimizer or partial(torch.optim.AdamW, lr=learning_rate, weight_decay=0.0)
        self._schedule = schedule
        self.baseline_responses = baseline_responses
        self.processes = ALONE
        self.optimizer_states = {expert.name: expert.optimizer.initial_state() for expert in self.experts}
        self.problems: dict[str, str] = {}
        self.baselines = self._baselines()
        sizes = [expert.batch_size for expert in self.experts]
        self._offsets = {e.name: offset for e, offset in zip(self.experts, accumulate(sizes, initial=0), strict=False)}

    def configure_model(self) -> None:
        """Finds the processes that share the batch, and shards models over them if they are to be sharded."""
        trainer: Any = self.trainer
        self.processes = self.update.processes = processes_of(trainer)
        if self.processes.peer:
            self._leave_judging_to_first_peer()
        meshes = meshes_of(trainer)
        if meshes is not None and not is_sharded(self.model):
            rewards = [model for expert in self.experts for model in models_of(expert.reward)]
            own = [self.model, self.critic, None if self._reference_stays else self.reference.model]
            shard_all([model for model in own if model is not None], rewards, meshes, self.mixed)

    def on_fit_start(self) -> None:
        """Moves the reference to the policy's device; it is no submodule, so that no checkpoint contains it."""
        if not self._reference_stays:
            torch.nn.Module.to(self.reference.model, self.device)

    def training_step(self, batch: Batch) -> None:
        """Does one iteration: prompts ─▶ rollout ─▶ reward ─▶ verdicts ─▶ objective, for every task; then one step.

        All tasks roll out first, so that one task's judges work while the next task's responses are generated. Then
        each task's gradient is added to the policy's, at the same weights. Only one task's graph is alive at a time.
        Nothing waits for a verdict that can be done without it. Each of several processes rolls out, judges and
        differentiates its own prompts of each task's batch; the objective is that of the whole batch.
        """
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.problems.clear()
        pending = {expert.name: self.roll_out(expert, batch[expert.name]) for expert in self.experts}
        judged: dict[str, JudgedRollout] = {}
        for expert in self.experts:
            judged[expert.name] = self.collect(expert, pending.pop(expert.name))
            self.accumulate_gradient(expert, judged[expert.name])
        for _ in range(1, self.update.epochs):
            with self.stage("step"):
                self.clip_and_average()
                # Lightning counts the steps of its own optimizer, and an iteration is one.
                optimizer.optimizer.step()
                optimizer.zero_grad()
            for expert in self.experts:
                self.accumulate_gradient(expert, self.refresh_batch(expert, judged[expert.name]))
        with self.stage("step"):
            self.clip_and_average()
            optimizer.step()
            scheduler: Any = self.lr_schedulers()
            scheduler.step()
        if self.problems:
            self.notify("on_skipped", dict(self.problems), judged)

    def roll_out(self, expert: Expert, prompts: Sequence[Prompt]) -> PendingRollout:
        """Rolls out this process's part of a task's prompts, sends it to the judges, and scores it meanwhile.

        New baseline responses of these prompts are sent to the judges before.
        """
        own_prompts = self.own_prompts(expert, prompts)
        self.prepare_baselines(expert, list(own_prompts.values()))
        seeds = [derived_seed(self.seed, "rollout", self.global_step, expert.name, place) for place in own_prompts]
        with self.stage("rollout", expert), gathered_weights(self.model):
            rollout = expert.sampler.sample(self.policy, list(own_prompts.values()), expert.responses_per_prompt, seeds)
        self.notify("on_rollout", expert, rollout)
        verdicts = expert.panel.submit(rollout.samples)
        with self.stage("reward", expert), gathered_weights(*models_of(expert.reward)):
            reward = expert.reward.score(rollout.samples)
        self.notify("on_reward", expert, rollout, reward)
        return PendingRollout(rollout, reward, verdicts)

    def own_prompts(self, expert: Expert, prompts: Sequence[Prompt]) -> dict[int, Prompt]:
        """Returns this process's part of a task's batch, by its index in the whole batch."""
        places = self.processes.places(len(prompts), self._offsets[expert.name])
        return {place: prompts[place] for place in places}

    def prepare_baselines(self, expert: Expert, prompts: Sequence[Prompt]) -> None:
        """Samples and scores new baseline responses, and sends them to the judges; all processes together."""
        baselines = self.baselines[expert.name]
        if self.processes.any(baselines.lacks(prompts)):
            with self.stage("baselines", expert):
                baselines.make(prompts)

    def collect(self, expert: Expert, pending: PendingRollout) -> JudgedRollout:
        """Waits for a task's verdicts, and puts together what its optimizer sees."""
        rollout = pending.rollout
        self.prepare_baselines(expert, rollout.prompts)
        with self.stage("reference", expert):
            texts = self.baselines[expert.name].texts(rollout.prompts)
            inputs = self.update.inputs(self.policy, expert, rollout, texts)
            forward = self.update.forward(self.policy, self.reference, rollout, inputs)
        with self.stage("judges", expert):
            verdicts = pending.verdicts.result()
            baselines = self.baselines[expert.name].lookup(rollout.prompts)
        self.notify("on_verdicts", expert, rollout, verdicts)
        training_batch = self.update.score(rollout, inputs, forward, pending.reward, verdicts, baselines)
        self.notify("on_training_batch", expert, rollout, verdicts, training_batch)
        return JudgedRollout(rollout, inputs, training_batch)

    def refresh_batch(self, expert: Expert, judged: JudgedRollout) -> JudgedRollout:
        """Returns the same batch at the current weights."""
        with self.stage("update", expert):
            training_batch = self.update.refresh(self.policy, judged.inputs, judged.training_batch)
            return replace(judged, training_batch=training_batch)

    def accumulate_gradient(self, expert: Expert, judged: JudgedRollout) -> None:
        """Adds `ρ_l` times a task's gradient to the policy's, unless a number of its batch is not finite."""
        with self.stage("gather", expert):
            offset = self._offsets[expert.name]
            whole, rows = gather_batch(judged.training_batch, self.processes, expert.batch_size, offset)
        if problem := not_finite(whole):
            self.problems[expert.name] = problem
            return
        with self.stage("update", expert):
            state = self.optimizer_states[expert.name]
            objective, self.optimizer_states[expert.name] = self.update.backward(
                self.policy, expert, judged.inputs, whole, state, self.manual_backward, rows
            )
        self.notify("on_objective", expert, objective)

    def clip_and_average(self) -> None:
        """Adds up the processes' gradients and clips them; if a number was not finite, there is no gradient at all."""
        models = [model for model in (self.model, self.critic) if model is not None]
        if not self.problems:
            norms = [reduce_gradient(model, self.processes, self.clip_norm) for model in models]
            if not all(map(math.isfinite, norms)):
                self.problems["gradient"] = "the gradient is not finite"
        if self.problems:
            for model in models:
                model.zero_grad(set_to_none=True)

    def configure_optimizers(self) -> Any:
        """Makes the policy's torch optimizer and its learning-rate schedule, which step once an update."""
        groups = [
            {"params": of_mesh} for of_mesh in group_by_mesh(p for p in self.model.parameters() if p.requires_grad)
        ]
        if self.critic is not None:
            rate = self.update.critic_learning_rate
            groups += [{"params": of_mesh, "lr": rate} for of_mesh in group_by_mesh(self.critic.parameters())]
        optimizer = self._weight_optimizer(groups)
        schedule = self._schedule or whole_run(self.trainer)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)]

    def _leave_judging_to_first_peer(self) -> None:
        """Asks no judges here, since the first of the tensor-parallel peers has the same samples."""
        for model in (model for expert in self.experts for model in expert.panel.models):
            torch.nn.Module.to(model, "cpu")
        self.experts = tuple(
            replace(e, panel=PeerPanel(e.panel.names, e.panel.cached), gold=None, also=None) for e in self.experts
        )
        self.baselines = self._baselines()

    def _baselines(self) -> dict[str, BaselineCache]:
        return {e.name: BaselineCache(e, self.reference, self.seed, self.baseline_responses) for e in self.experts}

    @contextmanager
    def stage(self, name: str, expert: Expert | None = None) -> Generator[None]:
        """Times a stage, of one task or of all (`None`), and notifies the observers."""
        self.notify("on_stage_start", name, expert)
        start = time.perf_counter()
        yield
        self.notify("on_stage", name, time.perf_counter() - start)
