"""Seconds of a CGPO step by one process and by two, with whole copies and with pieces, on the same batch."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from cases import CASES, COPIES, PROMPTS, SHAPES, model_folder, prompt_texts
from facts import machine
from ours import Ours
from transformers import AutoTokenizer

import cgpo  # noqa: F401  first: it says how OpenMP's threads wait, which torch reads when it is loaded
from cgpo.distributed.rendezvous import RENDEZVOUS, Rendezvous, find_rendezvous, joined_processes
from cgpo.files import write_atomically
from cgpo.training.strategies import Joined, strategy_of

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Way:
    """How many processes share a step, with how many threads each."""

    strategy: str
    processes: int
    threads: int

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.strategy}, {self.processes} × {self.threads} thread{'s' if self.threads > 1 else ''}"


WAYS = (Way("single", 1, 1), Way("single", 1, 2), Way("ddp", 2, 1), Way("fsdp", 2, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="stories3M", choices=list(SHAPES))
    parser.add_argument("--models-folder", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "scaling.json")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder, weights = model_folder(options.model, options.models_folder, Path(scratch))
        found: dict[Way, list[list[dict[str, Any]]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                found[way].append(_run(way, folder, options.steps))
    rows = [_row(way, found[way]) for way in WAYS]
    for row in rows:
        row["speed"] = round(rows[0]["seconds"] / row["seconds"], 2)
        row["efficiency"] = round(row["speed"] / (row["processes"] * row["threads"]), 2)
    report = {
        **machine(("cgpo", "torch", "lightning", "transformers")),
        "model": f"{options.model}, {weights}",
        "batch": f"{PROMPTS} prompts × {COPIES} responses of {CASES[1].name}",
        "steps": options.steps * options.rounds,
        "rows": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output, json.dumps(report, indent=1) + "\n")
    for row in rows:
        print(row)
    print(f"written to {options.output}")


def _run(way: Way, folder: Path, steps: int) -> list[dict[str, Any]]:
    """What each process of a way timed; they are killed together where one fails or takes too long."""
    with TemporaryDirectory() as meeting:
        processes = [_start(way, rank, folder, steps, meeting) for rank in range(way.processes)]
        try:
            statuses = [process.wait(PATIENCE_SECONDS) for process in processes]
        finally:
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        said = "\n".join((Path(meeting) / f"{rank}.txt").read_text() for rank in range(way.processes))
        assert statuses == [0] * way.processes, f"{way.name}: exit statuses {statuses}\n{said}"
        return [json.loads((Path(meeting) / f"{rank}.json").read_text()) for rank in range(way.processes)]


def _start(way: Way, rank: int, folder: Path, steps: int, meeting: str) -> subprocess.Popen[bytes]:
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(way.processes)}
    with (Path(meeting) / f"{rank}.txt").open("w") as said:
        return subprocess.Popen(
            [sys.executable, __file__, way.strategy, str(way.threads), str(folder), str(steps), meeting],
            env={**os.environ, **own, RENDEZVOUS: f"file://{meeting}/processes", "OMP_NUM_THREADS": str(way.threads)},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _process(arguments: Sequence[str]) -> None:
    """One of the processes of a way; leaves what it timed."""
    strategy, threads, folder, steps, meeting = arguments
    taken = find_rendezvous()
    assert taken is not None
    torch.set_num_threads(int(threads))
    ours = Ours(folder, prompt_texts(AutoTokenizer.from_pretrained(folder)), CASES[1])
    settings: dict[str, Any] = {}
    if strategy != "single":
        settings = {
            "devices": taken.size,
            "strategy": strategy_of(strategy, taken.size, 1, 1),
            "plugins": [Joined(taken, taken.size)],
            "use_distributed_sampler": False,
        }
    with joined_processes(taken if settings else Rendezvous()):
        timed = ours.run(int(steps), **settings)
    (Path(meeting) / f"{taken.rank}.json").write_text(json.dumps(asdict(timed)))


def _row(way: Way, rounds: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over steps: a step takes as long as its slowest process, a stage its mean over processes."""
    seconds = [max(of) for ranks in rounds for of in zip(*(rank["seconds"] for rank in ranks), strict=True)]
    processor = [sum(of) for ranks in rounds for of in zip(*(rank["cpu_seconds"] for rank in ranks), strict=True)]
    tokens = [sum(of) for ranks in rounds for of in zip(*(rank["tokens"] for rank in ranks), strict=True)]
    stages = [of for ranks in rounds for of in zip(*(rank["stages"] for rank in ranks), strict=True)]
    names = list(stages[0][0])
    return {
        "way": way.name,
        "processes": way.processes,
        "threads": way.threads,
        "seconds": round(median(seconds), 3),
        "cpu_seconds": round(median(processor), 3),
        "tokens": round(mean(tokens)),
        "tokens_a_second": round(mean(tokens) / median(seconds)),
        "stages": {name: round(median([mean([rank[name] for rank in of]) for of in stages]), 3) for name in names},
    }


if __name__ == "__main__":
    if "RANK" in os.environ:
        _process(sys.argv[1:])
    else:
        main()
