"""The responses behind an evaluation's numbers: `samples.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.evaluation.assessment import Assessment
from cgpo.files import append_json_lines
from cgpo.types import Verdict


@dataclass(frozen=True)
class SampleFile:
    """Appends rows to a file.

    A row: `policy`, `task`, `mode`, `key`, `index` (of the response among its prompt's), `prompt`, `response`, `length`
    (tokens), `finished`, `reward`, `log_ratio` (to the reference, in nats, or null), `satisfied` (by all of the
    task's own judges; null where undecided), `verdicts` (judge → outcome and reason), `gold` (outcome and reason, or
    null), `measures`.

    Attributes:
        path: the file.
        keep: responses kept of each policy, task and mode, the first ones; `None` for all.
    """

    path: Path
    keep: int | None = None

    def add(self, policy: str, task: str, mode: str, found: Assessment) -> None:
        """Appends the rows of one policy's responses to one task."""
        rows = _rows(found, len(found.rollout.responses) if self.keep is None else self.keep)
        append_json_lines(self.path, ({"policy": policy, "task": task, "mode": mode, **row} for row in rows))


def _rows(found: Assessment, count: int) -> list[dict[str, Any]]:
    rollout, verdicts = found.rollout, found.verdicts
    by_judge = {**verdicts.by_judge, **found.also}
    lengths = rollout.response_mask.sum(-1).tolist()
    return [
        {
            "key": sample.prompt.key,
            "index": i % rollout.copies,
            "prompt": sample.prompt.text,
            "response": sample.response,
            "length": lengths[i],
            "finished": bool(rollout.finished[i]),
            "reward": found.reward[i].item(),
            "log_ratio": None if found.log_ratio is None else found.log_ratio[i].item(),
            "satisfied": bool(verdicts.satisfied[i]) if verdicts.decided[i] else None,
            "verdicts": {judge: _plain(given[i]) for judge, given in by_judge.items()},
            "gold": None if found.gold is None else _plain(found.gold[i]),
            "measures": {name: values[i].item() for name, values in found.measures.items()},
        }
        for i, sample in enumerate(rollout.samples[:count])
    ]


def _plain(verdict: Verdict) -> Mapping[str, str]:
    return {"outcome": verdict.outcome.value, "reason": verdict.reason}
