"""Seconds of forward and backward passes over responses of varying length: padded micro-batches, and packed rows."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from cases import CASES, COPIES, PROMPTS, SHAPES
from facts import machine
from transformers import LlamaConfig, LlamaForCausalLM

import cgpo  # noqa: F401  first: it says how OpenMP's threads wait, which torch reads when it is loaded
from cgpo.files import write_atomically
from cgpo.policy.logprobs import packed_logprobs, require_packing, response_logprobs
from cgpo.policy.micro_batches import length_grouped_batches, packed_batches

ROOT = Path(__file__).resolve().parents[1]
PROMPT = 10
WAYS: dict[str, tuple[Callable[..., Any], Callable[[Sequence[int], int], list[list[int]]], int]] = {
    "padded, 8192": (response_logprobs, length_grouped_batches, 8192),
    "packed, 8192": (packed_logprobs, packed_batches, 8192),
    "packed, 1024": (packed_logprobs, packed_batches, 1024),
    "packed, 512": (packed_logprobs, packed_batches, 512),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "packing.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [_measure(name, options.rounds) for name in options.models]
    report = {
        **machine(("cgpo", "torch", "transformers")),
        "threads": torch.get_num_threads(),
        "responses": f"{PROMPTS * COPIES} of {CASES[1].name}, after prompts of {PROMPT}",
        "rounds": options.rounds,
        "rows": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output, json.dumps(report, indent=1) + "\n")
    for row in rows:
        print(row)
    print(f"written to {options.output}")


def _measure(name: str, rounds: int) -> dict[str, Any]:
    """Every way in turn, round after round; processor time, which other processes' load hits least."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPES[name], max_position_embeddings=512, tie_word_embeddings=True)).eval()  # pyright: ignore[reportArgumentType]
    require_packing(model)
    lengths = CASES[1].lengths(PROMPTS * COPIES)
    ids = torch.randint(500, (len(lengths), max(lengths)))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    prompts = torch.randint(500, (len(lengths), PROMPT)).tolist()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds + 1):
        for way, (compute, batches, budget) in WAYS.items():
            start = time.process_time()
            for part in batches([PROMPT + length for length in lengths], budget):
                width = max(lengths[i] for i in part)
                compute(
                    model, [prompts[i] for i in part], ids[part, :width], mask[part, :width], 1.0, 0
                ).sum().backward()
            seconds[way].append(time.process_time() - start)
    found = {way: round(statistics.median(times[1:]), 3) for way, times in seconds.items()}
    return {"model": name, "tokens": sum(lengths) + PROMPT * len(lengths), "cpu_seconds": found}


if __name__ == "__main__":
    main()
