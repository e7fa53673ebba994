"""Memory and time of log-probabilities with their gradient at a large vocabulary: all logits at once, and in chunks.

Each way runs in a process of its own, whose peak resident memory is read at its end, less what it held before the pass.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from facts import machine
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

import cgpo  # noqa: F401  first: it says how OpenMP's threads wait, which torch reads when it is loaded
from cgpo.files import write_atomically
from cgpo.policy.logprobs import concatenate, response_logprobs

ROOT = Path(__file__).resolve().parents[1]
WAYS = ("plain", "chunked")
PROMPT = 16


def main() -> None:
    options = _options()
    if options.way:
        _measure(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = {way: _in_own_process(way, options, Path(scratch)) for way in WAYS}
        found = {way: torch.load(Path(scratch) / f"{way}.pt") for way in WAYS}
    report = _facts(options) | rows | _comparison(rows, found)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output, json.dumps(report, indent=1) + "\n")
    console = Console(width=max(110, Console().width))
    console.print(_table(report))
    console.print(f"written to {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=128_256)
    parser.add_argument("--hidden", type=int, default=32, help="width: small, so that weights are small beside logits")
    parser.add_argument("--rows", type=int, default=8, help="responses")
    parser.add_argument("--tokens", type=int, default=256, help="of each response")
    parser.add_argument("--rounds", type=int, default=3, help="passes; the fastest counts")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "logprob_memory.json")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_own_process(way: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    sizes = ("vocabulary", "hidden", "rows", "tokens", "rounds")
    passed = [text for name in sizes for text in (f"--{name}", str(getattr(options, name)))]
    command = [sys.executable, __file__, *passed, "--way", way, "--scratch", str(scratch)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _measure(options: argparse.Namespace) -> None:
    """One way: prints its memory and time, and writes what it found."""
    model, prompts, ids = _case(options)
    compute = {"plain": _plain, "chunked": _chunked}[options.way]
    _step(model, compute, prompts[:1], ids[:1, :2])  # the gradients exist, and all code is loaded
    before = _resident()
    seconds: list[float] = []
    logprobs = ids
    for _ in range(options.rounds):
        model.zero_grad(set_to_none=False)
        start = time.perf_counter()
        logprobs = _step(model, compute, prompts, ids)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.save({"logprobs": logprobs, "gradients": gradients}, options.scratch / f"{options.way}.pt")
    print(json.dumps({"peak_mib": round((peak - before) / 2**20, 1), "seconds": round(min(seconds), 3)}))


def _case(options: argparse.Namespace) -> tuple[Any, list[list[int]], Tensor]:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        intermediate_size=2 * options.hidden,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=True,
        initializer_range=0.2,  # distributions far from uniform
    )
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(options.vocabulary, (options.rows, options.tokens))
    return model, torch.randint(options.vocabulary, (options.rows, PROMPT)).tolist(), ids


def _step(model: Any, compute: Any, prompts: list[list[int]], ids: Tensor) -> Tensor:
    logprobs = compute(model, prompts, ids)
    weights = torch.linspace(-1.0, 1.0, logprobs.numel()).view_as(logprobs)
    (weights * logprobs).sum().backward()
    return logprobs.detach()


def _plain(model: Any, prompts: list[list[int]], ids: Tensor) -> Tensor:
    """As it is usually written: logits of every response token, log-softmax, gather."""
    rows = concatenate(prompts, ids, torch.ones_like(ids, dtype=torch.bool), 0)
    logits = model(input_ids=rows.tokens[:, :-1], use_cache=False, logits_to_keep=rows.last).logits
    return logits.float().log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)


def _chunked(model: Any, prompts: list[list[int]], ids: Tensor) -> Tensor:
    return response_logprobs(model, prompts, ids, torch.ones_like(ids, dtype=torch.bool), 1.0, 0)


def _resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _comparison(rows: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    plain, chunked = found["plain"], found["chunked"]
    apart = {name: (chunked["gradients"][name] - grad).abs().max() for name, grad in plain["gradients"].items()}
    largest = max(grad.abs().max() for grad in plain["gradients"].values())
    return {
        "memory_ratio": round(rows["plain"]["peak_mib"] / rows["chunked"]["peak_mib"], 2),
        "logprob_difference": float((chunked["logprobs"] - plain["logprobs"]).abs().max()),
        "gradient_difference": float(max(apart.values())),
        "largest_gradient": float(largest),
    }


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    return {
        **machine(("cgpo", "torch", "transformers")),
        "threads": torch.get_num_threads(),
        "vocabulary": options.vocabulary,
        "hidden": options.hidden,
        "tokens": options.rows * options.tokens,
        "rounds": options.rounds,
    }


def _table(report: dict[str, Any]) -> Table:
    table = Table(title=f"{report['tokens']} tokens, vocabulary {report['vocabulary']}, forward and backward")
    table.add_column("")
    table.add_column("peak MiB", justify="right")
    table.add_column("seconds", justify="right")
    for way in WAYS:
        table.add_row(way, f"{report[way]['peak_mib']:.0f}", f"{report[way]['seconds']:.2f}")
    table.caption = (
        f"a factor of {report['memory_ratio']} in memory; greatest difference of log-probabilities"
        f" {report['logprob_difference']:.1e}, of gradients {report['gradient_difference']:.1e}"
        f" (the largest gradient is {report['largest_gradient']:.1f})"
    )
    return table


if __name__ == "__main__":
    main()
