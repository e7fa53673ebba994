"""The harness's own tasks, their prompts and their scoring untouched, on local documents or on the hub's data."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from cgpo.errors import UserError
from cgpo.standard_benchmarks.benchmark import Benchmark, Documents
from cgpo.standard_benchmarks.programs import require_contained

SPLIT = "local"
DEFAULT_TOKENS = 256
"""What the harness generates where a task does not say."""
Loaded = dict[str, Any]
"""The harness's `TaskDict`: `tasks` and `groups` by name, and `group_map`."""


def load_tasks(benchmarks: Mapping[str, Benchmark], documents: Mapping[str, Documents]) -> dict[str, Loaded]:
    """For each benchmark the harness's tasks.

    Args:
        benchmarks: by name.
        documents: of those that come from a file; the others' data come from the hub.

    Raises:
        UserError: the harness has no task of that name, cannot load its data, or it would run programs elsewhere than
            in the sandbox.
    """
    manager = _manager()
    found = {}
    for name, benchmark in benchmarks.items():
        given = documents.get(name)
        names = benchmark.tasks if given is None else benchmark.served
        for task in names:
            if task not in manager.task_index:
                raise UserError(f"benchmarks.{name}: {_unknown(task, manager.all_tasks)}")
        specs = list(names) if given is None else [_local(name, benchmark, task, given) for task in names]
        found[name] = _load(manager, name, specs)
        for task in found[name]["tasks"].values():
            if getattr(task, "UNSAFE_CODE", False):
                require_contained(task.task_name)
    return found


def fit_responses(task: Any, context: int, most: int | None) -> str:
    """Shortens a task's responses to what was asked for, and to what the context leaves room for besides the question.

    Args:
        task: of the harness.
        context: of the model, in tokens.
        most: tokens of a response, where someone said so.

    Returns:
        A line on what the context made shorter; empty where it did not.
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
    """Of all the tasks that the harness has: some 13,000 files, seconds to read."""
    import datasets  # pyright: ignore[reportMissingImports]
    from lm_eval.tasks import TaskManager  # pyright: ignore[reportMissingImports]

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    return TaskManager()


def _local(name: str, benchmark: Benchmark, task: str, given: Documents) -> dict[str, Any]:
    """The task, with a file's rows in the place of its data.

    A group of one, since that is how the harness lets keys of a task that it knows be overridden.
    """
    import datasets  # pyright: ignore[reportMissingImports]

    rows = datasets.Dataset.from_list(list(given.rows))
    overrides: dict[str, Any] = {
        "custom_dataset": lambda **_: {SPLIT: rows},
        "training_split": None,
        "validation_split": None,
        "test_split": SPLIT,
    }
    if benchmark.fewshot_from_rows:
        overrides["fewshot_split"] = SPLIT
    return {"group": f"{name}: {task}", "task": [{"task": task, **overrides}]}


def _load(manager: Any, name: str, specs: list[Any]) -> Loaded:
    try:
        # Loading prints what it downloads, and what it could not.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return manager.load(specs)
    except UserError:
        raise
    except (ImportError, AssertionError) as error:
        raise UserError(f"benchmarks.{name}: the harness lacks what it needs: {_line(error)}") from error
    except Exception as error:  # data sets of the hub fail in many ways
        raise UserError(
            f"benchmarks.{name}: the harness cannot load it: {_line(error)}; without the hub name a folder of local "
            "files, data_dir=…"
        ) from error


def _unknown(task: str, known: list[str]) -> str:
    near = get_close_matches(task, known, n=3)
    return f"lm-eval has no task {task!r}" + (f"; it has {', '.join(near)}" if near else "")


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
