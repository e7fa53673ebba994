"""What came of a comparison, as data: everything that the document says is worked out from it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cgpo.errors import UserError
from cgpo.files import write_atomically
from cgpo.reproduction.jobs import EVALUATION, Comparison, Method, run_folder
from cgpo.run_files import load_run
from cgpo.statistics import Interval, mean_interval

FILE = "comparison.jsonl"
DIGITS = 4
KEPT = ("success", "reward", "kl", "learned_reward")
"""Numbers of the evaluations on the way."""
EVALUATED = ("success", "reward", "kl", "length", "win_rate", "violation_rate")
"""Numbers of the final policies' evaluation."""


def collect(comparison: Comparison, folder: Path, command: str) -> dict[str, Any]:
    """All that the document needs of the runs, which are all there.

    Args:
        comparison: what was compared.
        folder: under which the runs lie.
        command: that made them.
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
    """The numbers that the document draws on, without their intervals over prompts."""
    return {
        task: {
            mode: {name: value for name in EVALUATED if (value := _value(modes[mode].get(name))) is not None}
            for mode in ("sampled", "greedy")
            if mode in modes
        }
        for task, modes in tasks.items()
    }


def _value(number: Any) -> Any:
    if isinstance(number, Mapping) and "value" not in number:
        return {name: value for name, inner in number.items() if (value := _value(inner)) is not None}
    return _rounded(number["value"]) if number else None


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


@dataclass(frozen=True)
class Curve:
    """A number over the updates of a method's runs: means over the seeds, with intervals."""

    steps: Sequence[int]
    values: Sequence[Interval]


class Results:
    """Questions about the collected data.

    Args:
        data: what `collect` gave.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    @property
    def tasks(self) -> list[str]:
        """All tasks, in the order of the runs."""
        return list(dict.fromkeys(task for run in self._runs() for task in run["curves"]))

    def has(self, *methods: str) -> bool:
        """Whether all of these methods were compared."""
        return all(method in self.data["methods"] for method in methods)

    def present(self, methods: Sequence[str]) -> list[str]:
        """Those of the methods that were compared."""
        return [method for method in methods if self.has(method)]

    def title(self, method: str) -> str:
        """A method's name in tables."""
        return self.data["methods"][method]["title"]

    def seconds(self) -> float:
        """Of all runs, one after the other."""
        return sum(run["seconds"] for run in self._runs())

    def curve(self, method: str, task: str, name: str) -> Curve | None:
        """A number of held-out responses over a method's runs; `None` where it has no such runs."""
        runs = [run["curves"].get(task, {}).get(name) for run in self.data["methods"][method]["runs"]]
        found = [run for run in runs if run]
        if not found:
            return None
        steps = [step for step in found[0]["steps"] if all(step in run["steps"] for run in found)]
        values = [mean_interval([run["values"][run["steps"].index(step)] for run in found]) for step in steps]
        return Curve(steps, values)

    def of_seeds(self, method: str, task: str, *keys: str) -> dict[int, float]:
        """Seed → a number of the final policy's evaluation, such as `"sampled", "success"`."""
        found: dict[int, float] = {}
        for evaluation in self.data["evaluations"]:
            value: Any = evaluation["policies"].get(method, {}).get(task)
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if value is not None:
                found[evaluation["seed"]] = value
        return found

    def mean(self, method: str, task: str, *keys: str) -> Interval | None:
        """The mean over the seeds of a number of the final policy's evaluation."""
        values = self.of_seeds(method, task, *keys)
        return mean_interval(list(values.values())) if values else None

    def over_tasks(self, method: str, *keys: str) -> dict[int, float]:
        """Seed → the mean over all tasks that have the number."""
        by_task = [values for task in self.tasks if (values := self.of_seeds(method, task, *keys))]
        seeds = set.intersection(*(set(values) for values in by_task)) if by_task else set[int]()
        return {seed: sum(values[seed] for values in by_task) / len(by_task) for seed in sorted(seeds)}

    def difference(self, method: str, other: str, task: str, *keys: str) -> Interval | None:
        """The mean over the seeds of what `method` has more than `other`, each seed's two paired."""
        return paired(self.of_seeds(method, task, *keys), self.of_seeds(other, task, *keys))

    def _runs(self) -> Iterator[Mapping[str, Any]]:
        for method in self.data["methods"].values():
            yield from method["runs"]


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """The mean difference of numbers with the same seed; `None` where no seed has both."""
    seeds = sorted(first.keys() & second.keys())
    return mean_interval([first[seed] - second[seed] for seed in seeds]) if seeds else None


def save(data: Mapping[str, Any], folder: Path) -> Path:
    """Writes the data atomically and gives its file: a line on the whole, then one a method, run and evaluation."""
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
    """The data that was saved in a folder.

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
