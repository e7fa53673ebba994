"""The harness's own tasks with their own prompts and scoring, on local documents or on the hub's data."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from cgpo.errors import UserError, first_line
from cgpo.standard_benchmarks.benchmark import Benchmark, Documents
from cgpo.standard_benchmarks.programs import require_contained

SPLIT = "local"
DEFAULT_TOKENS = 256
"""The most tokens that the harness generates if a task does not say."""
TaskDict = dict[str, Any]
"""The harness's dictionary of `tasks` and `groups` by name, with a `group_map`."""


def load_tasks(benchmarks: Mapping[str, Benchmark], documents: Mapping[str, Documents]) -> dict[str, TaskDict]:
    """Loads the harness's tasks of each benchmark.

    Args:
        benchmarks: the benchmarks by name.
        documents: the documents of those that come from a file; the data of the others come from the hub.

    Raises:
        UserError: the harness has no task of that name or cannot load its data, or the task would run programs outside
            the sandbox.
    """
    manager = _manager()
    found: dict[str, TaskDict] = {}
    for name, benchmark in benchmarks.items():
        given = documents.get(name)
        names = benchmark.tasks if given is None else benchmark.served
        for task in names:
            if task not in manager.task_index:
                raise UserError(f"benchmarks.{name}: {_unknown_task(task, manager.all_tasks)}")
        specs: list[Any] = list(names) if given is None else [_local(name, benchmark, task, given) for task in names]
        found[name] = _load(manager, name, specs)
        for task in found[name]["tasks"].values():
            if getattr(task, "UNSAFE_CODE", False):
                require_contained(task.task_name)
    return found


def fit_responses(task: Any, context: int, most: int | None) -> str:
    """Limits a task's responses to the tokens asked for, and to what the context leaves room for.

    Args:
        task: a task of the harness.
        context: the model's context in tokens.
        most: the most tokens of a response; `None` for the task's own limit.

    Returns:
        A line about a limit that the context made shorter; empty if it made none.
    """
    if task.OUTPUT_TYPE != "generate_until":
        return ""
    own = task.config.generation_kwargs.get("max_gen_toks", DEFAULT_TOKENS)
    wanted = own if most is None else most
    tokens = wanted if wanted < context else context // 2
    task.set_config("generation_kwargs", {"max_gen_toks": tokens}, update=True)
    if tokens == wanted:
        return ""
    return (
        f"{task.task_name}: at most {tokens} tokens a response, not {wanted}: the model's context is {context} tokens"
    )


@cache
def _manager() -> Any:
    """Makes the harness's index of its tasks, which reads some 13,000 files in seconds, once."""
    datasets: Any = importlib.import_module("datasets")
    tasks: Any = importlib.import_module("lm_eval.tasks")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    return tasks.TaskManager()


def _local(name: str, benchmark: Benchmark, task: str, given: Documents) -> dict[str, Any]:
    """Describes a task with a file's rows instead of its data.

    It is a group of one task, because that is how the harness lets the keys of a known task be overridden.
    """
    datasets: Any = importlib.import_module("datasets")
    rows = datasets.Dataset.from_list(list(given.rows))
    overrides: dict[str, Any] = {
        "custom_dataset": lambda **_: {SPLIT: rows},  # pyright: ignore[reportUnknownLambdaType]
        "training_split": None,
        "validation_split": None,
        "test_split": SPLIT,
    }
    if benchmark.fewshot_from_rows:
        overrides["fewshot_split"] = SPLIT
    return {"group": f"{name}: {task}", "task": [{"task": task, **overrides}]}


def _load(manager: Any, name: str, specs: list[Any]) -> TaskDict:
    try:
        # Loading prints what it downloads, and what it could not.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return manager.load(specs)
    except UserError:
        raise
    except (ImportError, AssertionError) as error:
        raise UserError(f"benchmarks.{name}: the harness lacks what it needs: {first_line(error)}") from error
    except Exception as error:  # data sets of the hub fail in many ways
        raise UserError(
            f"benchmarks.{name}: the harness cannot load it: {first_line(error)}; without the hub name a folder of "
            "local files, data_dir=…"
        ) from error


def _unknown_task(task: str, known: list[str]) -> str:
    near = get_close_matches(task, known, n=3)
    return f"lm-eval has no task {task!r}" + (f"; it has {', '.join(near)}" if near else "")
