"""The rows of samples, on batches of known numbers."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.policy.tiny import prompt
from tests.training.callbacks.observed import ROLLOUT, SCORED, TASK, VERDICTS, read, result_of
from tests.training.tiny_runs import Rows, module_of

from cgpo.evaluation.held_out import Evaluated
from cgpo.training.callbacks import SampleLog
from cgpo.types import Rollout


def test_rows_of_training_samples(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    log = SampleLog(str(path), every=3, per_task=4)
    for step in range(5):
        module: Any = SimpleNamespace(global_step=step, trainer=SimpleNamespace(is_global_zero=True))
        log.on_training_batch(module, TASK, ROLLOUT, VERDICTS, SCORED)
    rows = read(path)
    assert [row["step"] for row in rows] == [0] * 4 + [3] * 4
    assert [row["satisfied"] for row in rows[:4]] == [True, False, True, None]
    assert rows[1] == {
        "step": 0,
        "split": "train",
        "task": "chat",
        "key": "a",
        "prompt": "question",
        "response": "two",
        "reward": 0.0,
        "calibrated_reward": 0.5,
        "log_ratio": 1.0,
        "satisfied": False,
        "verdicts": {"facts": {"outcome": "violated", "reason": "because violated"}},
        "gold": None,
    }
    assert rows[0]["calibrated_reward"] == pytest.approx(0.75)


def test_rows_of_an_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    answered = prompt(5, response="w4")  # its golden response is worth 0.04
    result = result_of(0.75)
    asked = Evaluated(
        result.result,
        Rollout(**{**vars(ROLLOUT), "prompts": (answered,) * 4}),
        result.reward,
        result.log_ratio,
        VERDICTS,
        result.gold,
    )
    module = module_of([TASK])
    recorded: Any = SimpleNamespace(
        global_step=9,
        baselines=module.baselines,
        prepare_baselines=lambda *_: None,
        trainer=SimpleNamespace(loggers=[Rows()], is_global_zero=True),
    )
    SampleLog(str(path), per_evaluation=2).on_evaluation(recorded, TASK, "after", asked)
    rows = read(path)
    assert [(row["step"], row["split"], row["response"]) for row in rows] == [
        (9, "held_out", t) for t in ("one", "two")
    ]
    assert [row["gold"] for row in rows] == ["satisfied", "violated"]
    assert [row["reward"] for row in rows] == [0.0, 1.0]
    assert [row["log_ratio"] for row in rows] == [0.0, 0.5]
    wanted = [1 / (1 + math.exp(0.04 - r)) for r in (0.0, 1.0)]
    assert [row["calibrated_reward"] for row in rows] == pytest.approx(wanted, rel=1e-5)
