"""What checkpoints cost, and going on from one: `python benchmarks/checkpoint.py`, some five minutes on a CPU.

A Llama of some 50 million random parameters with AdamW's moments is written, checked and loaded, in a folder of
`--folder`'s disk; the same model trains for a few updates of `benchmarks/plan.py`'s run, for what a step takes. Then a
tiny model: from the start of `cgpo.train` to its first update, of a new run and of one that goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from facts import machine
from lightning.pytorch.callbacks import Callback
from plan import RUN
from transformers import AutoConfig, AutoModelForCausalLM

import cgpo
from cgpo.distributed.process_group import ALONE
from cgpo.files import write_atomically
from cgpo.runs.process import quiet
from cgpo.stages.suite import suite_tokenizer
from cgpo.training.checkpoints.catalogue import checkpoints
from cgpo.training.checkpoints.reading import load_tensors, trained_tensors
from cgpo.training.checkpoints.writing import write_checkpoint

ROOT = Path(__file__).parents[1]
SIZES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    "large": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 8},
}
KILLED_AT = 2
"""Updates after which the tiny run is killed."""


class FirstUpdate(Callback):
    """Notes when the first update of a process begins, and kills the process where told to.

    Args:
        file: gets the time.
        kill: at this update.
    """

    def __init__(self, file: str, kill: int | None = None) -> None:
        self.file = Path(file)
        self.kill = kill

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Of each update."""
        if not self.file.exists():
            self.file.write_text(str(time.time()))
        if pl_module.global_step == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


def model(size: str) -> Any:
    """A Llama with random weights that reads the suite's tokens."""
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 768, "max_position_embeddings": 256}
    config = AutoConfig.for_model("llama", **heads, **SIZES[size], tie_word_embeddings=True)
    return AutoModelForCausalLM.from_config(config)


def of_disk(folder: Path, rounds: int) -> dict[str, float]:
    """Seconds to write, check and load a checkpoint of the large model, medians, and its size."""
    network = model("large")
    optimizer = torch.optim.AdamW(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    tensors = trained_tensors(network, optimizer)
    seconds: dict[str, list[float]] = {"write": [], "check": [], "load": []}

    def timed(what: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        problem = work()
        seconds[what].append(time.perf_counter() - start)
        if problem is not None:
            raise SystemExit(f"error: {problem}")

    for _ in range(rounds):
        timed("write", partial(write_checkpoint, folder, 1, tensors, {}, ALONE))
        (found,) = checkpoints(folder)
        timed("check", found.damage)
        timed("load", partial(load_tensors, found, network, optimizer, alone=True))
    (found,) = checkpoints(folder)
    size = sum(size for size, _ in found.files.values()) / 1e6
    medians = {f"{what}_seconds": round(statistics.median(of), 2) for what, of in seconds.items()}
    rates = {f"{what}_mb_per_second": round(size / statistics.median(of)) for what, of in seconds.items()}
    return {"parameters": sum(p.numel() for p in network.parameters()), "mb": round(size, 1), **medians, **rates}


def train(size: str, folder: Path, *overrides: str) -> tuple[int, float]:
    """Runs `cgpo.train`; its status, and the seconds to the first update."""
    if not (folder / size).is_dir():
        model(size).save_pretrained(folder / size)
        suite_tokenizer().save_pretrained(folder / size)
    first = folder / "first"
    first.unlink(missing_ok=True)
    kill = next((o.removeprefix("kill=") for o in overrides if o.startswith("kill=")), "null")
    line = [*RUN, f"model.path={folder}/{size}", "callbacks.evaluation.prompts=0", "trainer.resume=auto"]
    line += [f"+callbacks.first={{_target_:checkpoint.FirstUpdate,file:{first},kill:{kill}}}"]
    line += [f"hydra.run.dir={folder}/run-{size}", *(o for o in overrides if not o.startswith("kill="))]
    paths = os.pathsep.join(
        [str(ROOT / "benchmarks"), str(Path(cgpo.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    start = time.time()
    command = [sys.executable, "-m", "cgpo.train", *line]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=600
    )
    if done.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"the run failed: {done.stderr}")
    return done.returncode, float(first.read_text()) - start


def step_seconds(folder: Path) -> dict[str, float]:
    """Of a training step of the large model, and of the checkpoint after it, as the run itself measures them."""
    train("large", folder, "updates=4", "callbacks.checkpoints.every=1")
    with (folder / "run-large/metrics.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("time/rollout")]
    stages = [{n: float(v) for n, v in row.items() if n.startswith("time/") and v} for row in rows[1:]]
    return {
        "step": round(statistics.median(sum(v for n, v in s.items() if n != "time/checkpoint") for s in stages), 2),
        "checkpoint": round(statistics.median(s["time/checkpoint"] for s in stages if "time/checkpoint" in s), 2),
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk that is measured")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "checkpoint.json")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        disk = of_disk(folder / "checkpoints", options.rounds)
        step = step_seconds(folder)
        every = ("updates=4", "callbacks.checkpoints.every=1")
        status, fresh = train("tiny", folder, *every, f"kill={KILLED_AT}")
        assert status == -signal.SIGKILL
        _, resumed = train("tiny", folder, *every)
    report = {
        **machine(("cgpo", "torch", "lightning")),
        "threads": 1,
        "rounds": options.rounds,
        "checkpoint": disk,
        "seconds_in_a_run": step,
        "seconds_to_the_first_update": {"new": round(fresh, 1), "resumed": round(resumed, 1)},
    }
    write_atomically(options.output, json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
