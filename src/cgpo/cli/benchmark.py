"""`cgpo benchmark`: standard benchmarks."""

from __future__ import annotations

from pathlib import Path

from cgpo.cli.verb import Call, Verb
from cgpo.progress import say, show


def run(call: Call) -> None:
    """Asks the questions, and shows the scores."""
    from cgpo.config import read_config

    config = read_config(call.config, "benchmark")
    from hydra.core.hydra_config import HydraConfig

    from cgpo.runs.benchmark import benchmark
    from cgpo.standard_benchmarks.run import score_table

    folder = Path(HydraConfig.get().runtime.output_dir)
    found = benchmark(config, call.config, folder, call.typed())
    show(score_table(found["benchmarks"], str(found["model"])))
    for line in found["notes"]:
        say(line)
    say(f"all of it lies in {folder}")


VERB = Verb(
    name="benchmark",
    summary="score a model on standard benchmarks (lm-eval)",
    about=(
        "Asks a model the questions of standard benchmarks through lm-evaluation-harness, with programs run in our "
        "sandbox, and leaves benchmark.json and samples.jsonl. Needs the extra lm-eval."
    ),
    examples=(
        ("benchmark model.path=runs/a/policy benchmarks=[gsm8k,ifeval]", "two benchmarks"),
        ("benchmark model.path=MODEL benchmarks=all chat_template=true", "all, for a chat model"),
        ("benchmark model.path=MODEL benchmarks=[gsm8k] limit=100", "the first 100 rows"),
        ("benchmark model.path=MODEL benchmarks=[math] num_fewshot=4", "four examples before each question"),
        ("benchmark -m model.path=A,B benchmarks=[arc]", "two models"),
    ),
    run=run,
    root="benchmark",
    sweeps=True,
)
