"""The results of a comparison as data, from which everything in the document is computed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from cgpo.errors import UserError
from cgpo.files import write_atomically
from cgpo.reproduction.jobs import EVALUATION, Comparison, Method, run_folder
from cgpo.run_files import load_run
from cgpo.statistics import Interval, mean_interval

FILE = "comparison.jsonl"
DIGITS = 4
"""Decimals that are kept."""
KEPT = ("success", "reward", "kl", "learned_reward")
"""Numbers of the evaluations during training."""
EVALUATED = ("success", "reward", "kl", "length", "win_rate", "violation_rate")
"""Numbers of the final policies' evaluation."""


def collect(comparison: Comparison, folder: Path, command: str) -> dict[str, Any]:
    """Collects all that the document needs from the runs, all of which are finished.

    Args:
        comparison: what was compared.
        folder: the folder of the runs.
        command: the command that made them.
    """
    methods = {name: _method(comparison, method, folder) for name, method in comparison.methods.items()}
    evaluations = comparison.seeds if comparison.evaluation is not None else ()
    return {
        "command": command,
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("cgpo", "torch", "transformers", "lightning")},
        "seeds": list(comparison.seeds),
        "methods": methods,
        "evaluations": [_evaluation(folder, seed) for seed in evaluations],
    }


def _method(comparison: Comparison, method: Method, folder: Path) -> dict[str, Any]:
    seeds = () if method.path else comparison.seeds_of(method)
    command = " ".join(["cgpo train", *comparison.training, *method.overrides])
    return {
        "title": method.title,
        "command": None if method.path else command,
        "path": method.path,
        "start": method.start,
        "runs": [_run(run_folder(folder, method, seed), seed) for seed in seeds],
    }


def _run(folder: Path, seed: int) -> dict[str, Any]:
    run = load_run(folder)
    summary = run.summary or {}
    curves = {
        task: {
            name: {"steps": list(series.steps), "values": _rounded(series.values)}
            for name in KEPT
            if (series := run.metrics.get(f"eval/{task}/{name}")) is not None
        }
        for task in run.tasks
    }
    return {"seed": seed, "seconds": _rounded(summary["seconds"]["total"]), "curves": curves}


def _evaluation(folder: Path, seed: int) -> dict[str, Any]:
    evaluated = json.loads((folder / EVALUATION / f"seed_{seed}" / "evaluation.json").read_text())
    return {"seed": seed, "policies": {name: _values(found["tasks"]) for name, found in evaluated["policies"].items()}}


def _values(tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps the numbers that the document uses, without their intervals over prompts."""
    return {
        task: {
            mode: {name: value for name in EVALUATED if (value := _value(modes[mode].get(name))) is not None}
            for mode in ("sampled", "greedy")
            if mode in modes
        }
        for task, modes in tasks.items()
    }


def _value(number: Any) -> Any:
    if number is None:
        return None
    if "value" in number:
        return _rounded(number["value"])
    return {name: value for name, inner in number.items() if (value := _value(inner)) is not None}


def _rounded(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(inner) for inner in cast("Sequence[Any]", value)]
    return round(value, DIGITS) if isinstance(value, float) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


@dataclass(frozen=True)
class Curve:
    """A number over the updates of a method's runs.

    Attributes:
        steps: the updates.
        values: the mean over the seeds at each of them, with its interval.
    """

    steps: Sequence[int]
    values: Sequence[Interval]


class Results:
    """The collected data with the questions that the document asks of it.

    Args:
        data: what `collect` returned.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    @property
    def tasks(self) -> list[str]:
        """The names of all tasks, in the order of the runs."""
        return list(dict.fromkeys(task for run in self._runs() for task in run["curves"]))

    def has(self, *methods: str) -> bool:
        """Tells whether all of these methods were compared."""
        return all(method in self.data["methods"] for method in methods)

    def present(self, methods: Sequence[str]) -> list[str]:
        """Returns those of the methods that were compared."""
        return [method for method in methods if self.has(method)]

    def title(self, method: str) -> str:
        """Returns a method's name in tables."""
        return self.data["methods"][method]["title"]

    def seconds(self) -> float:
        """Adds up the seconds of all runs."""
        return sum(run["seconds"] for run in self._runs())

    def curve(self, method: str, task: str, name: str) -> Curve | None:
        """Returns a number of held-out responses over a method's runs, or `None` if it has no such runs."""
        runs = [run["curves"].get(task, {}).get(name) for run in self.data["methods"][method]["runs"]]
        found = [run for run in runs if run]
        if not found:
            return None
        steps = [step for step in found[0]["steps"] if all(step in run["steps"] for run in found)]
        values = [mean_interval([run["values"][run["steps"].index(step)] for run in found]) for step in steps]
        return Curve(steps, values)

    def of_seeds(self, method: str, task: str, *keys: str) -> dict[int, float]:
        """Returns for each seed a number of the final policy's evaluation, such as `"sampled", "success"`."""
        found: dict[int, float] = {}
        for evaluation in self.data["evaluations"]:
            value: Any = evaluation["policies"].get(method, {}).get(task)
            for key in keys:
                value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
            if value is not None:
                found[evaluation["seed"]] = value
        return found

    def mean(self, method: str, task: str, *keys: str) -> Interval | None:
        """Returns the mean over the seeds of a number of the final policy's evaluation."""
        values = self.of_seeds(method, task, *keys)
        return mean_interval(list(values.values())) if values else None

    def over_tasks(self, method: str, *keys: str) -> dict[int, float]:
        """Returns for each seed the mean of a number over all tasks that have it."""
        by_task = [values for task in self.tasks if (values := self.of_seeds(method, task, *keys))]
        seeds = sorted(seed for seed in (by_task[0] if by_task else ()) if all(seed in values for values in by_task))
        return {seed: sum(values[seed] for values in by_task) / len(by_task) for seed in seeds}

    def difference(self, method: str, other: str, task: str, *keys: str) -> Interval | None:
        """Returns the mean over the seeds of a number of `method` minus that of `other`, paired by seed."""
        return paired_difference(self.of_seeds(method, task, *keys), self.of_seeds(other, task, *keys))

    def _runs(self) -> Iterator[Mapping[str, Any]]:
        for method in self.data["methods"].values():
            yield from method["runs"]


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """Returns the mean difference, first minus second, over the seeds that both have; `None` if there are none."""
    seeds = sorted(first.keys() & second.keys())
    return mean_interval([first[seed] - second[seed] for seed in seeds]) if seeds else None


def save(data: Mapping[str, Any], folder: Path) -> Path:
    """Writes the data atomically, one line about the whole, then one a method, run and evaluation.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    write_atomically(file, "".join(f"{json.dumps(line)}\n" for line in _lines(data)))
    return file


def _lines(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield {key: value for key, value in data.items() if key not in ("methods", "evaluations")}
    for name, method in data["methods"].items():
        yield {"method": name, **{key: value for key, value in method.items() if key != "runs"}}
        for run in method["runs"]:
            yield {"run": name, **run}
    for evaluation in data["evaluations"]:
        for name, tasks in evaluation["policies"].items():
            yield {"evaluation": name, "seed": evaluation["seed"], "tasks": tasks}


def load(folder: Path) -> Results:
    """Loads the data that was saved in a folder.

    Raises:
        UserError: there is none.
    """
    file = folder / FILE
    if not file.is_file():
        raise UserError(f"{file} is not there: name the folder of a comparison's results, or write runs=true")
    head, *lines = map(json.loads, file.read_text().splitlines())
    methods: dict[str, Any] = {}
    policies: dict[int, dict[str, Any]] = {}
    for line in lines:
        if "method" in line:
            name = line.pop("method")
            methods[name] = {**line, "runs": []}
        elif "run" in line:
            name = line.pop("run")
            methods[name]["runs"].append(line)
        else:
            policies.setdefault(line["seed"], {})[line["evaluation"]] = line["tasks"]
    evaluations = [{"seed": seed, "policies": of_seed} for seed, of_seed in policies.items()]
    return Results({**head, "methods": methods, "evaluations": evaluations})
