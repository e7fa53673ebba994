"""The hacking alarm during training: its signals, its file, and whether it stops the run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from lightning import LightningModule, Trainer

from cgpo.bounds import Unit, check_arguments
from cgpo.evaluation.alarm import SIGMAS, Alarm, Reading, alarm
from cgpo.evaluation.held_out import Evaluated
from cgpo.files import append_json_lines
from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.progress import say
from cgpo.tasks.expert import Expert
from cgpo.tensors import float_list
from cgpo.training.observer import Observer
from cgpo.types import Outcome, Verdict

Kind = Literal["gold", "judges", "agreement"]
KINDS: tuple[Kind, ...] = ("gold", "judges", "agreement")
RIGHT = {Outcome.SATISFIED: True, Outcome.VIOLATED: False}


class HackingAlarm(Observer):
    """Warns at an evaluation that a task's learned reward has risen while an independent signal fell.

    The signals are `gold`, the gold judge's success; `judge/<name>`, how often a held-out judge is satisfied, on tasks
    that it does not constrain; and `agreement/<one>_<other>`, how often two of the task's judges agree. Agreement also
    falls if a policy that violated two judges learns to satisfy one of them.

    When an alarm begins, a line is shown. Each evaluation at which it holds appends a row to the file: `step`, `task`,
    `signal`, `began`, `message`, the numbers of both evaluations (`before`, `after`), the changes in standard errors,
    and as `samples` the responses of the highest reward that the signal finds wrong. `alarm/<task>` is 1 or 0.

    Args:
        path: the file; an empty one shows that the run was watched.
        judges: held-out judges by name, which are asked only at evaluations.
        signals: the kinds of signal, among `gold`, `judges`, `agreement`.
        sigmas: the number of standard errors that both changes must exceed.
        samples: the most samples in a row.
        stop: whether an alarm ends the run.
    """

    def __init__(
        self,
        path: str,
        judges: Mapping[str, Judge] | None = None,
        signals: Sequence[Kind] = KINDS,
        sigmas: Annotated[float, Gt(0), Unit("standard errors")] = SIGMAS,
        samples: Annotated[int, Ge(0)] = 5,
        stop: bool = False,
    ) -> None:
        check_arguments(HackingAlarm, locals())
        self.path = Path(path)
        self.signals = tuple(signals)
        self.sigmas = sigmas
        self.samples = samples
        self.stop = stop
        self._panel = Panel(dict(judges or {}))
        self._readings: dict[tuple[str, str], list[Reading]] = defaultdict(list)
        self._on: set[tuple[str, str]] = set()
        self._stopped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the file; a run that an alarm has ended stays ended."""
        trainer.should_stop |= self._stopped
        if trainer.is_global_zero:
            self.path.touch()

    def on_evaluation(self, module: LightningModule, expert: Expert, label: str, result: Evaluated) -> None:
        """Reads every signal, and warns of those that raise an alarm, in the first of several processes."""
        fired = module.trainer.is_global_zero and self._reads(module, expert, result)
        if self.stop and label == "during" and module.trainer.strategy.broadcast(fired):
            if module.trainer.is_global_zero:
                ends = f"alarm: the run ends at update {module.global_step}, as callbacks.alarm.stop says"
                say(ends, important=True)
            module.trainer.should_stop = self._stopped = True

    def _reads(self, module: LightningModule, expert: Expert, result: Evaluated) -> bool:
        """Returns whether there is an alarm."""
        fired: dict[str, Alarm] = {}
        rows: list[dict[str, Any]] = []
        found = self._found(expert, result)
        for signal, right in found.items():
            series = self._readings[expert.name, signal]
            series.append(_reading(module.global_step, result, right))
            if given := alarm(series, self.sigmas):
                fired[signal] = given
                rows.append(self._row(expert.name, signal, given, result, right))
        append_json_lines(self.path, rows)
        for row in rows:
            self._say(row)
        self._on = {key for key in self._on if key[0] != expert.name} | {(expert.name, signal) for signal in fired}
        if found:
            for logger in module.trainer.loggers:
                logger.log_metrics({f"alarm/{expert.name}": float(bool(fired))}, module.global_step)
        return bool(fired)

    def state_dict(self) -> dict[str, Any]:
        """Returns the readings of every task and signal, which raise an alarm, and whether that ended the run."""
        readings: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
        for (task, signal), series in self._readings.items():
            readings[task][signal] = [asdict(reading) for reading in series]
        return {"readings": dict(readings), "on": [list(key) for key in sorted(self._on)], "stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from these readings; an alarm that holds does not begin again."""
        self._readings.clear()
        for task, signals in state_dict["readings"].items():
            for signal, series in signals.items():
                self._readings[task, signal] = [Reading(**reading) for reading in series]
        self._on = {(task, signal) for task, signal in state_dict["on"]}
        self._stopped = state_dict["stopped"]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Closes the held-out judges."""
        self._panel.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Closes the held-out judges if the run fails."""
        self._panel.close()

    def _found(self, expert: Expert, result: Evaluated) -> dict[str, list[bool | None]]:
        """Returns for each signal whether each response is right, or `None` if it does not tell."""
        found: dict[str, list[bool | None]] = {}
        own = result.verdicts.by_judge
        if "gold" in self.signals and result.gold is not None:
            found["gold"] = _right(result.gold)
        if "judges" in self.signals and set(self._panel.names) - own.keys():
            panel = self._panel.of([name for name in self._panel.names if name not in own])
            given = panel.judge(result.rollout.samples).by_judge
            found |= {f"judge/{name}": _right(verdicts) for name, verdicts in given.items()}
        if "agreement" in self.signals:
            for (one, first), (other, second) in combinations(own.items(), 2):
                pairs = zip(_right(first), _right(second), strict=True)
                found[f"agreement/{one}_{other}"] = [None if None in (a, b) else a is b for a, b in pairs]
        return found

    def _row(
        self, task: str, signal: str, given: Alarm, result: Evaluated, right: Sequence[bool | None]
    ) -> dict[str, Any]:
        rewards = float_list(result.reward)
        wrong = sorted((i for i, of in enumerate(right) if of is False), key=lambda i: -rewards[i])
        return {
            "step": given.after.step,
            "task": task,
            "signal": signal,
            "began": given.before.step,
            "message": given.sentence(task, signal),
            **asdict(given),
            "samples": [_sample(result, rewards, i) for i in wrong[: self.samples]],
        }

    def _say(self, row: Mapping[str, Any]) -> None:
        if (row["task"], row["signal"]) not in self._on:
            say(f"alarm: {row['message']}; {self.path} has samples", important=True)


def _right(verdicts: Sequence[Verdict]) -> list[bool | None]:
    return [RIGHT.get(verdict.outcome) for verdict in verdicts]


def _reading(step: int, result: Evaluated, right: Sequence[bool | None]) -> Reading:
    decided = [of for of in right if of is not None]
    reward = result.reward
    error = reward.std().item() / math.sqrt(len(reward)) if len(reward) > 1 else 0.0
    share = sum(decided) / len(decided) if decided else 0.0
    return Reading(step, reward.mean().item(), error, share, len(decided))


def _sample(result: Evaluated, rewards: Sequence[float], index: int) -> dict[str, Any]:
    sample = result.rollout.samples[index]
    by_judge = {name: given[index] for name, given in result.verdicts.by_judge.items()}
    if result.gold is not None:
        by_judge["gold"] = result.gold[index]
    return {
        "key": sample.prompt.key,
        "prompt": sample.prompt.text,
        "response": sample.response,
        "reward": rewards[index],
        "verdicts": {name: {"outcome": v.outcome.value, "reason": v.reason} for name, v in by_judge.items()},
    }
