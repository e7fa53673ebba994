"""Standard benchmarks of one model, and what is kept of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from omegaconf import DictConfig

from cgpo.build.benchmarks import build_benchmarks, require_lm_eval
from cgpo.build.objects import make
from cgpo.config import BenchmarkConfig
from cgpo.files import write_atomically
from cgpo.policy.causal import load_policy
from cgpo.progress import say
from cgpo.runs.folder import write_config
from cgpo.runs.process import quiet, set_threads
from cgpo.standard_benchmarks.programs import programs_in_sandbox
from cgpo.standard_benchmarks.run import HarnessSettings, count_truncated, harness_model, run_harness
from cgpo.standard_benchmarks.tasks import fit_responses, load_tasks
from cgpo.training.summary import write_summary


def benchmark(config: BenchmarkConfig, composed: DictConfig, folder: Path, command: str) -> Mapping[str, Any]:
    """Asks a model the questions of standard benchmarks, and leaves `benchmark.json` and `samples.jsonl`.

    Args:
        config: what is asked, and how.
        composed: the same as Hydra composed it, which the folder keeps.
        folder: of the run.
        command: what was typed, for the record.

    Returns:
        The content of `benchmark.json`.

    Raises:
        UserError: the configuration, a file or a model is not what it should be, or programs cannot be isolated here.
    """
    start = time.perf_counter()
    quiet()
    set_threads(config.threads)
    require_lm_eval()
    benchmarks, documents = build_benchmarks(config)
    sandbox = make(config.sandbox)
    try:
        with programs_in_sandbox(sandbox) as programs:
            tasks = load_tasks(benchmarks, documents)
            policy = load_policy(config.model.path, config.model.dtype)
            model = harness_model(policy, config.batch_size, config.chat_template)
            write_config(folder, composed)
            said = [f"{name}: left out {given.left_out}" for name, given in documents.items() if given.left_out]
            questions = [task for loaded in tasks.values() for task in loaded["tasks"].values()]
            said += filter(None, (fit_responses(t, policy.context_length, config.max_new_tokens) for t in questions))
            for line in said:
                say(line)
            found = run_harness(model, tasks, _asking(config))
    finally:
        sandbox.close()
    room: dict[str, int] = {
        t.task_name: dict[str, int](t.config.generation_kwargs or {}).get("max_gen_toks", 0) for t in questions
    }
    cut = count_truncated(policy, found.samples, room)
    said += [
        f"{task}: the beginning of {rows} questions was cut off to fit the context"
        for task, rows in cut.items()
        if rows
    ]
    if programs.undecided:
        said.append(f"{programs.undecided} programs count as wrong, since the sandbox could not judge them")
    _write_samples(folder / "samples.jsonl", found.samples)
    written: dict[str, Any] = {
        "model": config.model.path,
        "benchmarks": found.scores,
        "files": {name: str(given.file) for name, given in documents.items()},
        "notes": said,
        "undecided_programs": programs.undecided,
        "cut_questions": cut,
        "response_tokens": {task: tokens for task, tokens in room.items() if tokens},
        "settings": config.model_dump(include={"limit", "num_fewshot", "batch_size", "chat_template", "seed"}),
        "command": command,
        "versions": {name: version(name) for name in ("cgpo", "lm_eval", "transformers", "torch")},
        "seconds": time.perf_counter() - start,
    }
    write_summary(folder / "benchmark.json", written)
    return written


def _asking(config: BenchmarkConfig) -> HarnessSettings:
    return HarnessSettings(
        limit=config.limit,
        num_fewshot=config.num_fewshot,
        chat_template=config.chat_template,
        system_prompt=config.system_prompt,
        seed=config.seed,
        bootstrap=config.bootstrap,
    )


def _write_samples(path: Path, samples: list[dict[str, Any]]) -> None:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    write_atomically(path, b"".join(orjson.dumps(row, option=options) for row in samples))
