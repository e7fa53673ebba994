"""Seconds of one CGPO step, next to the floor of its passes and to TRL's GRPO step: `make bench`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from cases import CASES, COPIES, PROMPTS, SHAPES, Case, force_lengths, model_folder, prompt_texts
from facts import machine
from floor import Floor, Timed
from ours import Ours
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when they are imported

import cgpo  # noqa: F401  first: it says how OpenMP's threads wait, which torch reads when it is loaded
from cgpo.training.fit import fastest_threads

ROOT = Path(__file__).resolve().parents[1]
HAS_TRL = importlib.util.find_spec("trl") is not None
STAGES = ("rollout", "reward", "reference", "update", "step")


def main() -> None:
    options = _options()
    for name in ("lightning.pytorch", "lightning.fabric", "transformers", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    transformers_logging.disable_progress_bar()
    console = Console(width=max(110, Console().width))
    started = time.perf_counter()
    if not HAS_TRL:
        console.print("no TRL, so it has no rows: pip install -c constraints.txt -e '.[bench]'", markup=False)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in options.models:
            folder, content = model_folder(model, options.models_folder, Path(scratch))
            console.print(f"{model} ({content})")
            threads = _choose_threads(folder)
            for case in CASES:
                console.print(f"  {case.name}, {threads} thread(s): {options.rounds} rounds …")
                row = {"model": model, "weights": content, "threads": threads, "case": case.name}
                rows.append(row | _measure(folder, case, options.rounds, options.steps, Path(scratch)))
    report = _facts(options) | {"rows": rows}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    for table in _tables(rows):
        console.print(table)
    console.print(f"{time.perf_counter() - started:.0f} s; written to {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--models-folder", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--rounds", type=int, default=3, help="how often every variant has its turn")
    parser.add_argument("--steps", type=int, default=2, help="measured steps of a turn, after one to warm up")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "step.json")
    return parser.parse_args()


def _choose_threads(folder: Path) -> int:
    return fastest_threads(_floor(folder, CASES[0]).step, repeats=4)


def _floor(folder: Path, case: Case) -> Floor:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    prompt_ids = torch.tensor([tokenizer(text)["input_ids"] for text in prompt_texts(tokenizer)])
    floor = Floor(str(folder), prompt_ids, case.lengths(PROMPTS * COPIES))
    force_lengths(floor.model, CASES[0], prompt_ids.shape[1], int(floor.model.config.eos_token_id))
    return floor


def _measure(folder: Path, case: Case, rounds: int, steps: int, scratch: Path) -> dict[str, Any]:
    """Every variant in turn, round after round, so that whatever else the machine does hits all alike."""
    texts = prompt_texts(AutoTokenizer.from_pretrained(folder))
    variants: list[Any] = [_floor(folder, case), Ours(str(folder), texts, case)]
    if HAS_TRL:
        from trl_grpo import GRPO

        variants.append(GRPO(str(folder), texts, case, scratch))
    timed: dict[str, Timed] = {variant.name: Timed() for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            part, whole = variant.run(steps), timed[variant.name]
            whole.seconds += part.seconds
            whole.cpu_seconds += part.cpu_seconds
            whole.tokens += part.tokens
            whole.stages += part.stages
    result = {name: _summary(times) for name, times in timed.items()}
    for found in result.values():
        for unit in ("us_a_token", "cpu_us_a_token"):
            found[f"floor_by_{unit}"] = round(result["floor"][unit] / found[unit], 3)
    return result


def _summary(timed: Timed) -> dict[str, Any]:
    stages = {
        stage: round(statistics.median(s[stage] for s in timed.stages), 4)
        for stage in STAGES
        if timed.stages and stage in timed.stages[0]
    }
    return {
        "seconds": round(statistics.median(timed.seconds), 4),
        "seconds_best": round(min(timed.seconds), 4),
        "tokens": round(statistics.mean(timed.tokens)),
        "us_a_token": _microseconds(timed.seconds, timed.tokens),
        "cpu_us_a_token": _microseconds(timed.cpu_seconds, timed.tokens),
        "stages": stages,
        "steps": len(timed.seconds),
    }


def _microseconds(seconds: list[float], tokens: list[int]) -> float:
    """Of a generated token, in the faster half of the steps, which other processes hit least."""
    costs = sorted(s / t for s, t in zip(seconds, tokens, strict=True))
    return round(1e6 * statistics.mean(costs[: max(1, len(costs) // 2)]), 2)


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    packages = ("cgpo", "torch", "transformers", "lightning", *(("trl",) if HAS_TRL else ()))
    return {
        **machine(packages),
        "prompts": PROMPTS,
        "responses_per_prompt": COPIES,
        "rounds": options.rounds,
        "steps_a_round": options.steps,
    }


def _tables(rows: list[dict[str, Any]]) -> Iterator[Table]:
    speed = Table(title=f"one step, {PROMPTS} prompts × {COPIES} responses")
    for column in (
        "model",
        "responses",
        "",
        "s a step",
        "tokens",
        "µs/token",
        "floor/step",
        "CPU µs/token",
        "CPU floor/step",
    ):
        speed.add_column(column, justify="left" if column in ("model", "responses", "") else "right")
    stages = Table(title="seconds of its stages (medians)")
    for column in ("model", "responses", "", *STAGES):
        stages.add_column(column, justify="left" if column in ("model", "responses", "") else "right")
    for row in rows:
        for place, name in enumerate(n for n in ("floor", "cgpo", "trl") if n in row):
            found = row[name]
            labels = (row["model"], row["case"]) if place == 0 else ("", "")
            speed.add_row(
                *labels,
                name,
                f"{found['seconds']:.3f}",
                str(found["tokens"]),
                f"{found['us_a_token']:.0f}",
                f"{found['floor_by_us_a_token']:.2f}",
                f"{found['cpu_us_a_token']:.0f}",
                f"{found['floor_by_cpu_us_a_token']:.2f}",
                end_section=name == "trl",
            )
            if found["stages"]:
                cells = (f"{found['stages'][s]:.3f}" if s in found["stages"] else "" for s in STAGES)
                stages.add_row(*labels, name, *cells)
    yield speed
    yield stages


if __name__ == "__main__":
    main()
