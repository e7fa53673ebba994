"""One update of known numbers, and how callbacks are told of it."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tests.tasks.fakes import expert
from tests.training.tiny_runs import Rows

from cgpo.evaluation.held_out import Evaluated, Evaluation
from cgpo.training.callbacks import TaskMetrics
from cgpo.types import Baseline, Objective, Outcome, Prompt, Rollout, TrainingBatch, Verdict, Verdicts

LN3 = math.log(3.0)


TASK = expert(name="chat")
PROMPT = Prompt("a", "question")
ROLLOUT = Rollout(
    prompts=(PROMPT,),
    prompt_ids=((5,),),
    responses=("one", "two", "three", "four"),
    response_ids=torch.full((4, 3), 7),
    response_mask=torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]).bool(),
    logprobs=torch.zeros(4, 3),
    finished=torch.tensor([True, True, True, False]),
    temperature=1.0,
)
OUTCOMES = (Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE, Outcome.UNDECIDED)
VERDICTS = Verdicts(
    by_judge={"facts": tuple(Verdict(o, f"because {o.value}") for o in OUTCOMES)},
    satisfied=torch.tensor([True, False, True, False]),
    decided=torch.tensor([True, True, True, False]),
    seconds={"facts": 0.5},
)
SCORED = TrainingBatch(
    logprobs=torch.full((1, 4, 3), -1.0),
    reference_logprobs=torch.full((1, 4, 3), -1.5),
    sampled_logprobs=torch.full((1, 4, 3), -1.0),
    response_mask=ROLLOUT.response_mask[None],
    reward=torch.tensor([[LN3, 0.0, -LN3, 0.0]]),
    satisfied=VERDICTS.satisfied[None],
    decided=VERDICTS.decided[None],
    identity=torch.tensor([[0, 1, 2, 3]]),
    baseline=Baseline(torch.zeros(1), torch.ones(1).bool(), torch.zeros(1, 1), torch.zeros(1, 1).bool()),
)


def watch(metrics: TaskMetrics, rows: Rows, step: int, loss: float = 2.0, seconds: float = 1.0) -> None:
    """One update as the module and Lightning tell of it."""
    module: Any = SimpleNamespace(global_step=step)
    trainer: Any = SimpleNamespace(loggers=[rows])
    metrics.on_rollout(module, TASK, ROLLOUT)
    metrics.on_stage(module, "rollout", seconds)
    metrics.on_verdicts(module, TASK, ROLLOUT, VERDICTS)
    metrics.on_training_batch(module, TASK, ROLLOUT, VERDICTS, SCORED)
    metrics.on_objective(module, TASK, Objective(torch.tensor(loss), {"beyond_kl_max": 0.25}))
    module.global_step = step + 1
    metrics.on_train_batch_end(trainer, module, None, None, step)


def result_of(success: float | None) -> Evaluated:
    evaluation = Evaluation(4, success, 0.5, 1.25, 2.0, {}, 1.0, {"readable": 0.125})
    gold = [Verdict(o, "") for o in OUTCOMES]
    return Evaluated(evaluation, ROLLOUT, torch.arange(4.0), torch.arange(4.0) / 2, VERDICTS, gold)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
