"""Folders of runs as `cgpo.train` leaves them, with numbers that a test can see through."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIG = """\
seed: {seed}
updates: 20
callbacks: {{evaluation: {{prompts: 500, prompts_during: 100}}}}
optimizer: {{_target_: cgpo.optimizer.CRPG}}
judges: {{facts: {{}}, tone: {{}}, unused: {{}}}}
tasks:
  chat: {{judges: [facts, tone]}}
  math: {{judges: []}}
"""


def sample(step: int, task: str = "chat", **changes: Any) -> dict[str, Any]:
    """A row of `samples.jsonl`."""
    row = {
        "step": step,
        "split": "held_out",
        "task": task,
        "key": f"{task}:{step}",
        "prompt": f"What is {step}?",
        "response": f"It is {step}.",
        "reward": step / 10,
        "calibrated_reward": 0.5,
        "log_ratio": 1.25,
        "satisfied": True,
        "verdicts": {"facts": {"outcome": "satisfied", "reason": "true enough"}} if task == "chat" else {},
        "gold": "satisfied",
    }
    return {**row, **changes}


def write_run(
    folder: Path,
    rewards: Sequence[float] = (0.0, 1.0, 2.0),
    success: Sequence[float] = (0.5, 0.6, 0.7),
    samples: Sequence[dict[str, Any]] = (),
    finished: bool = True,
    seed: int = 3,
) -> Path:
    """A run of twenty updates, evaluated at 0, 10 and 20 (or as far as there are numbers), on two tasks."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(f"- seed={seed}\n")
    (folder / "config.yaml").write_text(CONFIG.format(seed=seed))
    rows: dict[int, dict[str, float]] = {}
    for i, (reward, share) in enumerate(zip(rewards, success, strict=True)):
        for task in ("chat", "math"):
            row = {"success": share, "reward": reward, "kl": 0.1 * i}
            rows.setdefault(10 * i, {}).update({f"eval/{task}/{name}": value for name, value in row.items()})
    for step in range(1, 10 * len(rewards) - 9):
        row = {
            "time/rollout": 0.5,
            "time/update": 0.25,
            "train/chat/length": 10.0 + step,
            "train/chat/objective/loss": 1.0,
        }
        row |= {f"judges/chat/{judge}/violation_rate": 1 / (1 + step) for judge in ("facts", "tone")}
        row |= {"judges/chat/agreement/facts_tone": 0.5, "train/chat/kl": 0.1 * step, "train/chat/reward": step / 10}
        row |= {"train/chat/reward_given_violation": 1.0, "train/chat/reward_given_satisfied": 0.0}
        rows.setdefault(step, {}).update(row)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", *sorted({name for row in rows.values() for name in row})])
        writer.writeheader()
        writer.writerows({"step": step, **row} for step, row in sorted(rows.items()))
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
    if finished:
        ends = {"before": {"prompts": 200}, "after": {"prompts": 200}}
        summary = {"optimizer": "CRPG", "findings": ["chat: all well."], "tasks": {"chat": ends, "math": ends}}
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder
