"""A run for every case of `uneven`, as one of several processes: `python -m tests.training.cases_of_processes …`."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tests.policy.tiny import tiny_policy
from tests.tasks.fakes import WordReward
from tests.training.steps_of_processes import run, weights
from tests.training.tiny_runs import Rows
from tests.training.uneven import CASES, SEED, UPDATES, Drifting, tasks

from cgpo.distributed.rendezvous import find_rendezvous, joined_processes
from cgpo.training.callbacks import BaselinesAhead, Evaluator, HackingAlarm, SampleLog, TaskMetrics
from cgpo.training.module import CGPOModule
from cgpo.training.observer import Observer
from cgpo.training.update import ConstrainedUpdate


class Watching(Observer):
    """Remembers which updates were skipped, and tells a reward that drifts when an evaluation is over."""

    def __init__(self) -> None:
        self.skipped: list[tuple[int, dict[str, str]]] = []

    def on_skipped(self, module: Any, problems: Mapping[str, str], assessed: Any) -> None:
        self.skipped.append((module.global_step, dict(problems)))

    def on_evaluation(self, module: Any, expert: Any, label: str, result: Any) -> None:
        if isinstance(expert.reward, Drifting):
            expert.reward.over = True


def module_of(case: str) -> CGPOModule:
    return CGPOModule(
        tiny_policy(),
        tasks(case),
        ConstrainedUpdate(30),
        weight_optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1),
        schedule=lambda step: 1.0,
        seed=SEED,
        clip_norm=0.5,
    )


def result(case: str, devices: int, strategy: str, peers: int, folder: Path, first: bool) -> dict[str, Any]:
    """What this process knows at the end; files go into a folder that all share."""
    (folder / case).mkdir(exist_ok=True)
    module, rows, watching = module_of(case), Rows(), Watching()
    before = weights(module)
    evaluator = Evaluator(prompts=9, prompts_during=9, every=1, measures={"half": WordReward(0.005)})
    callbacks = [
        BaselinesAhead(2),
        TaskMetrics(),
        SampleLog(str(folder / case / "samples.jsonl"), every=1, per_task=100, per_evaluation=4),
        HackingAlarm(str(folder / case / "alarms.jsonl"), signals=["gold"], stop=case == "alarm"),
        watching,
        evaluator,
    ]
    # As the command has it: the first process alone has loggers.
    run(module, devices, strategy, peers, UPDATES, logger=[rows] if first else False, callbacks=callbacks)
    return {
        "moved": weights(module) - before,
        "updates": module.global_step,
        "skipped": watching.skipped,
        "rows": rows.rows,
        "evaluations": {
            task: {label: asdict(of) for label, of in found.items()} for task, found in evaluator.results.items()
        },
    }


def main() -> None:
    taken = find_rendezvous()
    assert taken is not None
    strategy, peers, folder, *cases = sys.argv[1:]
    of_all = (taken.size, strategy, int(peers), Path(folder), taken.rank == 0)
    with joined_processes(taken):
        found = {case: result(case, *of_all) for case in cases or CASES}
    torch.save(found, Path(folder) / f"found-by-{taken.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
