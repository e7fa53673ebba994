"""Standard benchmarks: `python -m cgpo.cli.benchmark model.path=… benchmarks=[gsm8k,ifeval]`."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from omegaconf import DictConfig

from cgpo.build.benchmarking import benchmark_plan, build_benchmarks, this_run
from cgpo.build.components import try_to_make
from cgpo.build.plan import Config
from cgpo.cli.command import run_command
from cgpo.files import write_whole
from cgpo.policy.causal import load_policy
from cgpo.runs.folder import write_config
from cgpo.runs.process import quiet, screen, set_threads
from cgpo.standard_benchmarks.programs import programs_in_sandbox
from cgpo.standard_benchmarks.run import Asking, count_cut, harness_model, run_harness, score_table
from cgpo.standard_benchmarks.tasks import fit_responses, load_tasks
from cgpo.training.summary import write_summary


def benchmark(config: DictConfig) -> None:
    """Asks a model the questions of standard benchmarks, and leaves `benchmark.json` and `samples.jsonl`.

    Raises:
        UserError: the configuration, a file or a model is not what it should be, or programs cannot be isolated here.
    """
    start = time.perf_counter()
    quiet()
    console, announce = screen()
    folder, overrides, choices = this_run()
    plan = benchmark_plan(config, choices)
    set_threads(plan["threads"])
    benchmarks, documents = build_benchmarks(plan)
    sandbox = try_to_make("sandbox", plan["sandbox"])
    try:
        with programs_in_sandbox(sandbox) as programs:
            tasks = load_tasks(benchmarks, documents)
            policy = load_policy(**plan["model"])
            model = harness_model(policy, plan["batch_size"], plan["chat_template"])
            write_config(folder, config)
            said = [f"{name}: left out {given.left_out}" for name, given in documents.items() if given.left_out]
            questions = [task for loaded in tasks.values() for task in loaded["tasks"].values()]
            said += filter(None, (fit_responses(t, policy.context_length, plan["max_new_tokens"]) for t in questions))
            for line in said:
                announce(line)
            found = run_harness(model, tasks, _asking(plan))
    finally:
        sandbox.close()
    room = {t.task_name: (t.config.generation_kwargs or {}).get("max_gen_toks", 0) for t in questions}
    cut = count_cut(policy, found.samples, room)
    said += [
        f"{task}: the beginning of {rows} questions was cut off to fit the context"
        for task, rows in cut.items()
        if rows
    ]
    if programs.undecided:
        said.append(f"{programs.undecided} programs count as wrong, since the sandbox could not judge them")
    _write_samples(folder / "samples.jsonl", found.samples)
    write_summary(
        folder / "benchmark.json",
        {
            "model": plan["model"]["path"],
            "benchmarks": found.scores,
            "files": {name: str(given.file) for name, given in documents.items()},
            "notes": said,
            "undecided_programs": programs.undecided,
            "cut_questions": cut,
            "response_tokens": {task: tokens for task, tokens in room.items() if tokens},
            "settings": {key: plan[key] for key in ("limit", "num_fewshot", "batch_size", "chat_template", "seed")},
            "command": ["python", "-m", "cgpo.cli.benchmark", *overrides],
            "versions": {name: version(name) for name in ("cgpo", "lm_eval", "transformers", "torch")},
            "seconds": time.perf_counter() - start,
        },
    )
    console.print(score_table(found.scores, str(plan["model"]["path"])))
    for line in said:
        announce(line)
    announce(f"all of it lies in {folder}")


def _asking(plan: Config) -> Asking:
    keys = ("limit", "num_fewshot", "chat_template", "system_prompt", "seed", "bootstrap")
    return Asking(**{key: plan[key] for key in keys})


def _write_samples(path: Path, samples: list[dict[str, Any]]) -> None:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    write_whole(path, b"".join(orjson.dumps(row, option=options) for row in samples))


if __name__ == "__main__":
    run_command(benchmark, root="benchmark")
