"""The schema of a run: what `train` reads, and with it `sft`, `reward` and `warmup`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt
from pydantic import PrivateAttr

from cgpo.bounds import Unit
from cgpo.config.models import ModelConfig, OptimConfig, TrainerConfig, UpdateConfig
from cgpo.config.sections import Named, Names, Positive, Section, Values, Whole

Quantization = Literal["int8", "int4"] | None
NATS = Unit("nats a response")


class TaskConfig(Section):
    """A task: prompts, a reward, judges that constrain it, an optimizer, and how many responses are drawn."""

    data: Names
    """The sources of its prompts, of those under `data`: a name, or a list of names."""
    reward: str
    """The reward model that scores its responses, of those under `reward`."""
    judges: Names
    """The judges that must all find a response right, of those under `judges`: a name, or a list of names."""
    gold: Named | None = None
    """A judge that says what success means on held-out prompts, and that training never sees; null for none."""
    batch_size: Annotated[int, Ge(1), Unit("prompts")] = 8
    """Prompts of one update (B)."""
    responses_per_prompt: Annotated[int, Ge(1), Unit("responses")] = 4
    """Responses that are drawn to each prompt (K)."""
    weight: Positive = 1.0
    """The weight of the task's gradient in the sum over all tasks (ρ_l)."""
    kl_max: Annotated[float, Gt(0), NATS] | None = None
    """The limit of a response's sum over tokens of log π − log π_ref, at the rollout's temperature, before top-p."""
    optimizer: Named
    """What this task's optimizer has otherwise than the group `optimizer` says; a `_target_` takes its place."""
    rollout: Named
    """What this task's sampler has otherwise than the group `rollout` says."""


class TrainConfig(Section):
    """What `cgpo train` reads; `cgpo sft`, `cgpo reward` and `cgpo warmup` make its pipeline's results alone."""

    seed: Whole
    """The seed that all random numbers of the run are derived from, with the step, the task and the place."""
    updates: Annotated[int, Ge(1), Unit("updates")]
    """Steps on the weights: each draws, scores and judges responses of every task once."""
    data_dir: str
    """The folder of public data sets that choices of the group `data` read."""
    cache_dir: str
    """The folder of what the pipeline builds; runs with the same settings share it."""
    run_folder: str
    """The run's own folder, which `hydra.run.dir=FOLDER` chooses."""
    models_device: str
    """Where models that are not trained lie: auto (the device that the process trains on), cpu, cuda:1 and so on."""
    models_quantization: Quantization
    """How models that are not trained are stored: null as their dtype says, int8 or int4."""
    reference_device: str | None
    """Where the reference lies that the KL limit is measured from; null keeps it with the policy."""
    reference_quantization: Quantization
    """How the reference's weights are stored; null as the policy's are."""
    baseline_responses: Literal["golden", "sampled"]
    """Where baseline responses (eq. 5) come from: `golden` is the row's where it has one, `sampled` draws them all."""
    model: ModelConfig
    """The policy."""
    optim: OptimConfig
    """The step on the weights."""
    update: UpdateConfig
    """From a task's objective to a gradient."""
    optimizer: Named
    """The objective of every task that has none of its own: a class, and its hyper-parameters."""
    rollout: Named
    """How responses are drawn: a class, and its settings."""
    tasks: Mapping[str, TaskConfig]
    """The tasks, by name."""
    data: Mapping[str, Named]
    """The sources of prompts that tasks choose from, by name."""
    reward: Mapping[str, Named]
    """The reward models that tasks choose from, by name."""
    judges: Mapping[str, Named]
    """The judges that tasks choose from, by name."""
    judge_models: Mapping[str, str | None]
    """The language models behind judges: a folder, a hub id or `artifact:NAME`, by judge."""
    panel: Named
    """How judges are asked together: what their failures count as, what is cached, what they may spend."""
    callbacks: Mapping[str, Named]
    """What watches the run: evaluations, logs, checkpoints, alarms, by name."""
    logger: Mapping[str, Named]
    """Where metrics go besides `metrics.csv`, by name."""
    pipeline: Mapping[str, Named]
    """How the results that other keys name by `artifact:NAME` are made."""
    trainer: TrainerConfig
    """Hardware."""
    variables: Values
    """Values that other keys take by interpolation, `${variables.NAME}`; no command reads them."""
    _notes: tuple[str, ...] = PrivateAttr(default=())

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that a person should see before the command does what the configuration says."""
        return self._notes

    def noted(self, *notes: str) -> Self:
        """The same with further notes."""
        copy = self.model_copy()
        copy._notes = (*self._notes, *notes)
        return copy

    def also_judged(self, task: str) -> tuple[str, ...]:
        """The judges that are asked about a task's held-out responses without constraining it; in evaluations alone."""
        return ()
