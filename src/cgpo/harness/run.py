"""Runs benchmarks through the harness, and keeps what it came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cgpo.harness.tasks import Loaded

Scores = dict[str, Any]


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes:
        limit: rows of each task; `None` for all.
        num_fewshot: examples before each question; `None` for each task's own number.
        chat_template: render questions through the tokenizer's chat template.
        system_prompt: what goes before everything else.
        seed: of the choice of examples.
        bootstrap: resamples behind a standard error that has no closed form.
    """

    limit: int | None = None
    num_fewshot: int | None = None
    chat_template: bool = False
    system_prompt: str | None = None
    seed: int = 0
    bootstrap: int = 1000


@dataclass(frozen=True)
class Benchmarked:
    """What the harness found.

    Attributes:
        scores: benchmark → task → its numbers; a group of tasks that the harness sums up stands beside its tasks.
        samples: every question with its response and what it scored, benchmark by benchmark.
    """

    scores: Mapping[str, Mapping[str, Scores]]
    samples: list[dict[str, Any]]


def run_harness(language_model: Any, benchmarks: Mapping[str, Loaded], asking: Asking) -> Benchmarked:
    """Asks a model all questions of all benchmarks.

    Args:
        language_model: of the harness (`lm_eval.api.model.LM`).
        benchmarks: see `cgpo.harness.tasks.load_tasks`.
        asking: how it is asked.
    """
    from lm_eval import evaluate  # pyright: ignore[reportMissingImports]

    scores: dict[str, dict[str, Scores]] = {}
    samples: list[dict[str, Any]] = []
    for name, loaded in benchmarks.items():
        for task in loaded["tasks"].values():
            _set_examples(task, asking)
        found: Any = evaluate(
            lm=language_model,
            task_dict=loaded,
            limit=asking.limit,
            apply_chat_template=asking.chat_template,
            fewshot_as_multiturn=asking.chat_template,
            system_instruction=asking.system_prompt,
            bootstrap_iters=asking.bootstrap,
            # Programs run in the sandbox; `load_tasks` lets no other task of that kind through.
            confirm_run_unsafe_code=True,
        )
        titles = [title for title, result in found["results"].items() if _metrics(result)]
        scores[name] = {title: _scores(found, title) for title in titles}
        samples.extend(_samples(name, found["samples"]))
    return Benchmarked(scores, samples)


def _set_examples(task: Any, asking: Asking) -> None:
    """A task that fixes its number of examples at 0 keeps it, as under the harness's own command."""
    own = task.get_config("num_fewshot")
    if own != 0:
        task.set_config("num_fewshot", asking.num_fewshot if asking.num_fewshot is not None else own or 0)
    task.set_fewshot_seed(seed=asking.seed)


def _scores(found: Mapping[str, Any], title: str) -> Scores:
    counts = found["n-samples"].get(title)
    return {
        "metrics": _metrics(found["results"][title]),
        "rows": None if counts is None else counts["effective"],
        "rows_there": None if counts is None else counts["original"],
        "num_fewshot": found["n-shot"].get(title),
        "task_version": found["versions"].get(title),
    }


def _metrics(result: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """`{"exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.1}` as values with standard errors."""
    metrics = {}
    for key, value in result.items():
        metric, comma, kind = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            error = result.get(f"{metric}_stderr,{kind}")
            title = metric if kind == "none" else f"{metric}, {kind}"
            metrics[title] = {
                "value": float(value),
                "standard_error": float(error) if isinstance(error, int | float) else None,
            }
    return metrics


def _samples(name: str, by_task: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    for task, rows in by_task.items():
        for row in rows:
            yield {
                "benchmark": name,
                "task": task,
                "filter": row["filter"],
                "row": row["doc_id"],
                "prompt": row["arguments"][0][0],
                "choices": [arguments[1] for arguments in row["arguments"]] if len(row["arguments"]) > 1 else None,
                "responses": [response for responses in row["resps"] for response in responses],
                "filtered": row["filtered_resps"],
                "target": row["target"],
                "metrics": {metric: row[metric] for metric in row["metrics"]},
            }
