"""How much of the judges' time is hidden behind the rest of a step: `make bench`."""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from cases import COPIES, PROMPTS, Case, force_lengths, model_folder, prompt_texts
from lightning import LightningModule
from ours import CheapReward, train
from rich.console import Console
from rich.table import Table
from slow_judges import SECONDS, Computes, Waits, count
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

os.environ["HF_HUB_OFFLINE"] = "1"

import cgpo  # noqa: F401  first: it says how OpenMP's threads wait, which torch reads when it is loaded
from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.judges.panel.process_judge import ProcessJudge
from cgpo.optimizer import CRPG
from cgpo.policy.causal import load_policy
from cgpo.rollout import DecodingSampler
from cgpo.tasks.expert import Expert
from cgpo.training.module import CGPOModule
from cgpo.training.observer import Observer
from cgpo.training.update import ConstrainedUpdate
from cgpo.types import Prompt, Verdicts

CASE = Case("96 tokens each", 96, 96, 96)
ROOT = Path(__file__).resolve().parents[1]


def rounds_of(seconds: float) -> int:
    """How far Python counts in so many seconds."""
    rounds = 200_000
    best = min(_timed(partial(count, rounds)) for _ in range(5))
    return int(rounds * seconds / best)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


JUDGES: dict[str, Callable[[int], Judge] | None] = {
    "none": None,
    "waits": lambda _: Waits(),
    "computes in Python": Computes,
    "the same, in a process of its own": lambda rounds: ProcessJudge(partial(Computes, rounds)),
}


class Run:
    """CGPO's step on some tasks alike, each with the same panel."""

    def __init__(self, folder: str, tasks: int, panel: Panel) -> None:
        texts = prompt_texts(AutoTokenizer.from_pretrained(folder))
        policy = load_policy(folder)
        prompts = tuple(Prompt(str(i), text, response=text) for i, text in enumerate(texts))
        force_lengths(policy.model, CASE, len(policy.encode_prompt(prompts[0])), min(policy.eos_ids))
        experts = [
            Expert(
                name=f"task {i}",
                prompts=prompts,
                held_out=(),
                reward=CheapReward(),
                panel=panel,
                optimizer=CRPG(kl_max=1e6),
                sampler=DecodingSampler(CASE.longest),
                batch_size=len(prompts),
                responses_per_prompt=COPIES,
            )
            for i in range(tasks)
        ]
        optimizer = partial(torch.optim.AdamW, lr=1e-6)
        self.module = CGPOModule(policy, experts, ConstrainedUpdate(), optimizer, lambda _: 1.0, seed=0)

    def steps(self, count: int, clock: _Clock) -> None:
        """Some steps, after one that warms up."""
        train(self.module, count + 1, clock)


class _Clock(Observer):
    """Seconds of each step, and of them those in which it did nothing but wait for judges."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.waits: list[float] = []
        self.judged: list[float] = []
        self._last = self._waited = self._judged = 0.0

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        self._waited += seconds if stage == "judges" else 0.0

    def on_verdicts(self, module: LightningModule, expert: Expert, rollout: Any, verdicts: Verdicts) -> None:
        self._judged += sum(verdicts.seconds.values())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.perf_counter()
        if batch_idx:
            self.seconds.append(now - self._last)
            self.waits.append(self._waited)
            self.judged.append(self._judged)
        self._last, self._waited, self._judged = now, 0.0, 0.0


def main() -> None:
    options = _options()
    for name in ("lightning.pytorch", "lightning.fabric", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)
    console = Console(width=max(100, Console().width))
    table = Table(
        title=f"judges that take {SECONDS} s a batch; {PROMPTS} × {COPIES} responses of {CASE.longest} tokens"
    )
    for column in ("tasks", "judge", "s a step", "judges' s", "waited for them", "step grown by", "hidden"):
        table.add_column(column, justify="left" if column == "judge" else "right")
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = model_folder("stories260K", ROOT.parent / "shared" / "models", Path(scratch))
        for tasks in options.tasks:
            for row in _measure(str(folder), tasks, options.rounds, options.steps):
                table.add_row(str(tasks) if row[0] == "none" else "", *row, end_section=row[0] == list(JUDGES)[-1])
    console.print(table)
    load = f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
    console.print(f"{load}; medians. Hidden: the share of {SECONDS} s a task by which the step did not grow.")


def _measure(folder: str, tasks: int, rounds: int, steps: int) -> list[tuple[str, ...]]:
    """Every kind of judge in turn, round after round, so that whatever else the machine does hits all alike."""
    count_to = rounds_of(SECONDS)
    panels = {name: Panel({name: make(count_to)} if make else {}) for name, make in JUDGES.items()}
    runs = {name: Run(folder, tasks, panel) for name, panel in panels.items()}
    clocks = {name: _Clock() for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run.steps(steps, clocks[name])
    for panel in panels.values():
        panel.close()
    alone = statistics.median(clocks["none"].seconds)
    rows = [("none", f"{alone:.3f}", "", "", "", "")]
    for name in [name for name in runs if name != "none"]:
        clock = clocks[name]
        whole, waited, judged = map(statistics.median, (clock.seconds, clock.waits, clock.judged))
        grown = whole - alone
        shares = (f"{grown:+.3f} s", f"{100 * (1 - grown / (tasks * SECONDS)):.0f} %")
        rows.append((name, f"{whole:.3f}", f"{judged:.2f}", f"{waited:.3f} s", *shares))
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3, help="how often every judge has its turn")
    parser.add_argument("--steps", type=int, default=3, help="measured steps of a turn, after one to warm up")
    return parser.parse_args()


if __name__ == "__main__":
    main()
