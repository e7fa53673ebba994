"""Training from Python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike, fspath
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from lightning import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from cgpo.api.beginning import alone, claim, find_begun, find_place, watching
from cgpo.api.calls import check_call, on_screen
from cgpo.api.configured import or_configuration
from cgpo.api.models import Dtype, loaded_policy
from cgpo.api.record import record_of
from cgpo.api.runs import Run, load_run
from cgpo.config import Precision, Strategy
from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy
from cgpo.progress import say
from cgpo.runs.resume_point import find_resume_point
from cgpo.tasks.task import Bind, Scoring, Task, as_reward, bind_tasks
from cgpo.training.callbacks import Evaluator
from cgpo.training.loggers import csv_logger
from cgpo.training.module import LEARNING_RATE, CGPOModule
from cgpo.training.preemption import PreemptedError
from cgpo.training.run import TrainingRun
from cgpo.training.schedule import FINAL_FACTOR, WARMUP_STEPS, WarmupCosine
from cgpo.training.update import ConstrainedUpdate

HALF = (torch.bfloat16, torch.float16)


@or_configuration
def fit(
    policy: str | PathLike[str] | CausalPolicy | DictConfig,
    tasks: Task | Sequence[Task] = (),
    *,
    updates: Annotated[int, Ge(1)] = 50,
    folder: str | PathLike[str] | None = None,
    seed: Annotated[int, Ge(0)] = 0,
    learning_rate: Annotated[float, Gt(0)] = LEARNING_RATE,
    warmup_steps: Annotated[int, Ge(0)] = WARMUP_STEPS,
    final_factor: Annotated[float, Ge(0), Le(1)] = FINAL_FACTOR,
    weight_decay: Annotated[float, Ge(0)] = 0.0,
    clip_norm: Annotated[float, Gt(0)] | None = 1.0,
    baseline_responses: Literal["golden", "sampled"] = "golden",
    evaluated: Annotated[int, Ge(0)] = 500,
    evaluated_during: Annotated[int, Ge(0)] = 100,
    evaluate_every: Annotated[int, Ge(0)] | None = None,
    measures: Mapping[str, Scoring] | None = None,
    checkpoint_every: Annotated[int, Ge(0)] = 10,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    panel: Bind | None = None,
    update: ConstrainedUpdate | None = None,
    lora: Mapping[str, Any] | None = None,
    dtype: Dtype = "float32",
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    precision: Precision = "32-true",
    strategy: Strategy = "single",
    threads: Annotated[int, Ge(1)] | Literal["auto"] = "auto",
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Trains a policy on tasks, evaluates it before and after, and leaves a run's folder.

    The folder holds what one of `cgpo train` holds: `config.yaml`, `metrics.csv`, `samples.jsonl`, `summary.json`, the
    trained policy in `policy/`, and checkpoints. It is never overwritten.

    Example:
        ```python
        import cgpo

        rows = [{"prompt": f"What is {a} + {b}?", "answer": str(a + b)} for a in range(8) for b in range(8)]
        task = cgpo.Task(
            "sums",
            prompts=cgpo.read_prompts(rows),
            reward=cgpo.RewardModel.constant(),  # only the judge counts
            judges=[cgpo.MathJudge()],
            max_new_tokens=8,
        )
        run = cgpo.fit("artifact:sft", tasks=[task], updates=2, folder="runs/first")
        print(run.summary)
        run.policy.save("my_policy")
        ```

    Args:
        policy: a `transformers` folder, a hub id, the folder of a run, `artifact:NAME`, or a policy that `load_policy`
            loaded, which is then trained in place. Or a configuration of `cgpo train` that Hydra composed; nothing but
            `folder` and `progress` may then be given besides.
        tasks: one or some; every update takes one step on the weighted sum of their gradients.
        updates: steps on the weights.
        folder: of the run; by default `runs/<date>/<time>`.
        seed: of all random numbers.
        learning_rate: of AdamW, at its highest. The default suits models of some hundred million parameters.
        warmup_steps: updates in which the learning rate rises to it.
        final_factor: where the cosine ends that it falls along, as a share of it.
        weight_decay: of AdamW.
        clip_norm: the gradient's largest norm; `None` leaves it.
        baseline_responses: what rewards are compared with: the `golden` response of a row where it has one, or always a
            response `sampled` from the reference.
        evaluated: the most held-out prompts of each task before and after training.
        evaluated_during: the most on the way.
        evaluate_every: updates between two evaluations on the way; 0 for none, by default half of all.
        measures: further numbers of held-out responses, by name: functions from a `cgpo.Sample` to a number, or objects
            with the method `score`.
        checkpoint_every: updates between two checkpoints; 0 for none.
        callbacks: of Lightning, or observers of your own, besides those of every run.
        loggers: of Lightning, besides `metrics.csv`.
        panel: makes a `cgpo.judges.Panel` of judges by name, where its settings are to be other than the default ones.
        update: the constrained step, where its settings are to be other than the default ones.
        lora: settings of adapters, which are then all that is trained.
        dtype: of the weights that are loaded.
        accelerator: what to train on.
        precision: `bf16-mixed` computes in bfloat16 on float32 weights, `bf16-true` on bfloat16 ones.
        strategy: how several processes share the work that `torchrun` started: a whole copy each (`ddp`), or a piece
            each (`fsdp`).
        threads: of torch on a CPU, or `auto` to measure.
        resume: go on with the run in `folder`, if it was begun; everything else must be as it was.
        progress: whether lines and bars are shown.

    Returns:
        The run: `summary`, `policy`, `metrics`, `samples()`, `plot()`.

    Raises:
        UserError: an argument is not what it should be, or the folder holds a run already.
        PreemptedError: SIGTERM or Ctrl-C ended the run, and it is saved.
    """
    began = time.perf_counter()
    assert not isinstance(policy, DictConfig)
    check_call(fit, {name: value for name, value in locals().items() if name in PLAIN})
    listed = _listed(tasks)
    optim = {"learning_rate": learning_rate, "warmup_steps": warmup_steps, "final_factor": final_factor}
    record = record_of(
        listed,
        str(policy.model.config.name_or_path) if isinstance(policy, CausalPolicy) else fspath(policy),
        {
            "seed": seed,
            "updates": updates,
            "optim": {**optim, "weight_decay": weight_decay, "clip_norm": clip_norm},
            "baseline_responses": baseline_responses,
            "lora": lora,
            "dtype": dtype,
            "precision": precision,
        },
    )
    every = updates // 2 if evaluate_every is None else evaluate_every
    further = {name: as_reward(f"fit.measures[{name!r}]", of) for name, of in (measures or {}).items()}
    evaluator = Evaluator(evaluated, evaluated_during, every, further)
    with on_screen(progress), find_place(strategy, precision, accelerator) as place:
        begun = find_begun(folder, record, resume)
        if begun is not None and begun.ended:
            say(f"{begun.folder}: this run has come to its end already")
            return load_run(begun.folder)
        loaded = _loaded(policy, "bfloat16" if precision == "bf16-true" else dtype, lora)
        experts = bind_tasks(listed, loaded, panel)
        begun = begun or claim(folder, record, place)
        callbacks_of_run = watching(begun.folder, evaluator, checkpoint_every, callbacks)
        with alone(begun, place):
            resume_point = find_resume_point(begun.folder, callbacks_of_run, place.first, begun.resumed)
            module = CGPOModule(
                loaded,
                experts,
                update or ConstrainedUpdate(recompute_logprobs=_is_half(loaded) or precision == "bf16-mixed"),
                partial(torch.optim.AdamW, lr=learning_rate, weight_decay=weight_decay),
                WarmupCosine(updates, warmup_steps, final_factor),
                seed,
                clip_norm=clip_norm,
                baseline_responses=baseline_responses,
                mixed=place.hardware.mixed_shards,
            )
            run = TrainingRun(
                folder=begun.folder,
                module=module,
                updates=updates,
                hardware=place.hardware,
                device=place.device,
                callbacks=callbacks_of_run,
                loggers=[csv_logger(begun.folder, resume_point.rows), *loggers] if place.first else [],
                threads=resume_point.threads or threads,
                done=resume_point.updates,
                first=place.first,
                began=began,
            )
            try:
                run.complete()
            except PreemptedError as ended:
                raise PreemptedError(f"{ended}; the same call with resume=True goes on", ended.number) from None
        say(f"all of it lies in {begun.folder}")
    return load_run(begun.folder)


PLAIN = frozenset(
    {"updates", "seed", "learning_rate", "warmup_steps", "final_factor", "weight_decay", "clip_norm"}
    | {"baseline_responses", "evaluated", "evaluated_during", "evaluate_every", "checkpoint_every", "dtype"}
    | {"accelerator", "precision", "strategy", "threads", "resume", "progress"}
)
"""Arguments that are checked by their annotations alone."""


def _listed(tasks: Any) -> list[Task]:
    listed: list[Any] = [tasks] if isinstance(tasks, Task) else list(tasks)
    for task in listed:
        if not isinstance(task, Task):
            raise UserError(f"fit.tasks: {task!r} is no cgpo.Task")
    if not listed:
        raise UserError("fit.tasks: give at least one task")
    return listed


def _loaded(policy: str | PathLike[str] | CausalPolicy, dtype: str, lora: Mapping[str, Any] | None) -> CausalPolicy:
    if not isinstance(policy, CausalPolicy):
        return loaded_policy(policy, dtype, lora=lora)
    if lora is not None:
        raise UserError("fit.lora: the policy is loaded already; give the adapters to cgpo.load_policy(…, lora=…)")
    return policy


def _is_half(policy: CausalPolicy) -> bool:
    return next(policy.model.parameters()).dtype in HALF
