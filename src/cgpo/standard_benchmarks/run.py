"""Runs the harness on a policy in memory, and shows the scores."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from cgpo.errors import UserError
from cgpo.models.chat import tokenize
from cgpo.policy.causal import CausalPolicy
from cgpo.standard_benchmarks.tasks import TaskDict


def harness_model(policy: CausalPolicy, batch_size: int | str, chat_template: bool) -> Any:
    """Wraps a policy in the harness's class for `transformers` models (`HFLM`).

    Args:
        policy: the policy.
        batch_size: sequences in one forward pass, or `auto`.
        chat_template: whether questions will be rendered through the chat template.

    Raises:
        UserError: a chat template is asked for, and the tokenizer has none.
    """
    huggingface: Any = importlib.import_module("lm_eval.models.huggingface")
    tokenizer: Any = policy.tokenizer
    if chat_template and tokenizer.chat_template is None:
        raise UserError(
            "chat_template is true, but the model's tokenizer has none; write chat_template=false, or add one to "
            "tokenizer_config.json"
        )
    return huggingface.HFLM(
        pretrained=policy.model,
        tokenizer=tokenizer,
        backend="causal",
        max_length=policy.context_length,
        batch_size=batch_size,
    )


def count_truncated(
    policy: CausalPolicy, samples: Iterable[Mapping[str, Any]], response_tokens: Mapping[str, int]
) -> dict[str, int]:
    """Counts for each task the questions whose beginning the harness cut off because they exceed the context.

    Args:
        policy: the policy that answered.
        samples: see `HarnessResults.samples`.
        response_tokens: the tokens that are kept free for a response; multiple-choice tasks have none.
    """
    truncated: dict[str, set[int]] = {}
    for sample in samples:
        ends = sample["choices"] or [""]
        room = policy.context_length - response_tokens.get(sample["task"], 0)
        longest = max(len(tokenize(policy.tokenizer, sample["prompt"] + end, special_tokens=True)) for end in ends)
        rows = truncated.setdefault(sample["task"], set())
        if longest > room:
            rows.add(sample["row"])
    return {task: len(rows) for task, rows in truncated.items()}


Scores = dict[str, Any]
"""The numbers of one task."""


@dataclass(frozen=True)
class HarnessSettings:
    """How the harness asks a model.

    Attributes:
        limit: the number of rows of each task; `None` for all.
        num_fewshot: the number of examples before each question; `None` for each task's own number.
        chat_template: whether questions are rendered through the tokenizer's chat template.
        system_prompt: the text before everything else.
        seed: the seed of the choice of examples.
        bootstrap: the number of resamples for standard errors that have no closed form.
    """

    limit: int | None = None
    num_fewshot: int | None = None
    chat_template: bool = False
    system_prompt: str | None = None
    seed: int = 0
    bootstrap: int = 1000


@dataclass(frozen=True)
class HarnessResults:
    """The results of a run of the harness.

    Attributes:
        scores: benchmark → task → its numbers; a group of tasks that the harness aggregates is listed like a task.
        samples: every question with its response and its score, benchmark by benchmark.
    """

    scores: Mapping[str, Mapping[str, Scores]]
    samples: list[dict[str, Any]]


def run_harness(language_model: Any, benchmarks: Mapping[str, TaskDict], settings: HarnessSettings) -> HarnessResults:
    """Asks a model all questions of all benchmarks.

    Args:
        language_model: the harness's model (`lm_eval.api.model.LM`).
        benchmarks: the tasks of each benchmark, from `cgpo.standard_benchmarks.tasks.load_tasks`.
        settings: how the model is asked.
    """
    lm_eval: Any = importlib.import_module("lm_eval")
    scores: dict[str, dict[str, Scores]] = {}
    samples: list[dict[str, Any]] = []
    for name, loaded in benchmarks.items():
        for task in loaded["tasks"].values():
            _set_examples(task, settings)
        found: Any = lm_eval.evaluate(
            lm=language_model,
            task_dict=loaded,
            limit=settings.limit,
            apply_chat_template=settings.chat_template,
            fewshot_as_multiturn=settings.chat_template,
            system_instruction=settings.system_prompt,
            bootstrap_iters=settings.bootstrap,
            # Programs run in the sandbox; `load_tasks` lets no other task of that kind through.
            confirm_run_unsafe_code=True,
        )
        titles = [title for title, result in found["results"].items() if _metrics(result)]
        scores[name] = {title: _scores(found, title) for title in titles}
        samples.extend(_samples(name, found["samples"]))
    return HarnessResults(scores, samples)


def _set_examples(task: Any, settings: HarnessSettings) -> None:
    """Sets the number of examples; a task that fixes it at 0 keeps it, as under the harness's own command."""
    own = task.get_config("num_fewshot")
    if own != 0:
        task.set_config("num_fewshot", settings.num_fewshot if settings.num_fewshot is not None else own or 0)
    task.set_fewshot_seed(seed=settings.seed)


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
    """Pairs values such as `exact_match,strict-match` with their errors, `exact_match_stderr,strict-match`."""
    metrics: dict[str, dict[str, float | None]] = {}
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


def score_table(scores: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str) -> Table:
    """Shows one line for each metric: its value with the standard error, and what it was measured on."""
    table = Table(title=title, caption="± standard error", box=box.SIMPLE_HEAD)
    for column in ("task", "shots", "rows", "metric", "score"):
        table.add_column(column, justify="right" if column in ("shots", "rows", "score") else "left", overflow="fold")
    for tasks in scores.values():
        for task, found in tasks.items():
            start = [escape(task), _count(found["num_fewshot"]), _rows(found)]
            for metric, score in found["metrics"].items():
                table.add_row(*start, escape(metric), _score(score))
                start = ["", "", ""]
        table.add_section()
    return table


def _rows(found: Mapping[str, Any]) -> str:
    if found["rows"] is None:
        return "–"
    there = found["rows_there"]
    return str(found["rows"]) if found["rows"] == there else f"{found['rows']}/{there}"


def _count(number: int | None) -> str:
    return "–" if number is None else str(number)


def _score(score: Mapping[str, float | None]) -> str:
    error = score["standard_error"]
    return f"{score['value']:.3f}" + ("" if error is None else f" ± {error:.3f}")
