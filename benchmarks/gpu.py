"""CGPO on a GPU, in under ten minutes: its step by stages, decoding alone, and TRL's GRPO: `make bench-gpu`.

Each part runs in a process of its own, which is killed when its time is over: what it had measured by then stays.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
import warnings
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from facts import cpu
from gpu_parts import HAS_TRL, Part, parts_of, run_apart
from gpu_policies import REAL, SHAPES, TINY
from gpu_tables import tables
from rich.console import Console

import cgpo  # noqa: F401  first: it says how OpenMP's threads wait, which torch reads when it is loaded
from cgpo.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("step", "decode", "trl")


def main() -> None:
    options = _options()
    if options.part:
        _measure(Part(*options.part, seconds=0), options)
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU; --tiny --device cpu runs every part at toy size")
    console = Console(width=max(140, Console().width))
    started = time.monotonic()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for part in parts_of(["tiny"] if options.tiny else options.models, options.kinds):
            left = options.seconds - (time.monotonic() - started)
            found.append(run_apart(part, left, _command(part, options), Path(scratch)))
            console.print(f"{part.name}: {found[-1]['status']}", markup=False)
    report = _facts(options) | {"parts": found}
    for table in tables(found):
        console.print(table)
    if options.output is None and options.device == "cuda" and not options.tiny:
        options.output = ROOT / "results" / "gpu.json"
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.output, json.dumps(report, indent=1) + "\n")
    kept = "kept nowhere" if options.output is None else f"written to {options.output}"
    console.print(f"{time.monotonic() - started:.0f} s; {kept}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    shapes = [name for name in SHAPES if name != "tiny"]
    parser.add_argument("--models", nargs="+", default=["qwen-0.5b", "qwen-1.5b"], choices=shapes)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="which parts are run")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="toy size: shows that every part runs, and nothing else")
    parser.add_argument("--seconds", type=float, default=540.0, help="for all parts together")
    parser.add_argument("--output", type=Path, help="default: results/gpu.json on a GPU at real size, else nowhere")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _command(part: Part, options: argparse.Namespace) -> list[str]:
    own = ["--part", part.kind, part.model, part.variant, "--device", options.device]
    return [sys.executable, __file__, *own, *(["--tiny"] if options.tiny else [])]


def _measure(part: Part, options: argparse.Namespace) -> None:
    """In the part's own process: adds a line to a file for each row, as soon as it is known."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in ("lightning.pytorch", "lightning.fabric", "transformers", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    for row in part.measure(TINY if options.tiny else REAL, options.device):
        if options.device == "cuda":
            row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
            torch.cuda.reset_peak_memory_stats()
        with options.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    on_gpu = options.device == "cuda"
    packages = ("cgpo", "torch", "transformers", "lightning", *(("trl",) if HAS_TRL else ()))
    return {
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name() if on_gpu else cpu(),
        "memory_gib": torch.cuda.get_device_properties(0).total_memory / 2**30 if on_gpu else None,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "sizes": asdict(TINY if options.tiny else REAL),
    }


if __name__ == "__main__":
    main()
