"""Compares policies from the first one to `evaluation.json`, for a command or for a notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import __version__
from cgpo.evaluation.comparison import Comparison, EvaluationSettings, HeldOutTask, SampleFile
from cgpo.progress import say
from cgpo.protocols import Policy

SAMPLES = "samples.jsonl"
"""The file of the responses behind the numbers, in the folder of an evaluation."""


@dataclass(frozen=True)
class Candidate:
    """A policy that is loaded when its turn comes.

    Attributes:
        path: the path that the user gave, for the record.
        load: loads the policy on the device where it will run.
    """

    path: str
    load: Callable[[], Policy]


def compare(
    folder: Path,
    tasks: Sequence[HeldOutTask],
    settings: EvaluationSettings,
    policies: Mapping[str, Candidate],
    reference: Candidate | None,
    opponent: Candidate | None,
    keep: int | None,
    command: str,
) -> dict[str, Any]:
    """Evaluates policies side by side, and writes their samples.

    Args:
        folder: the folder of the evaluation.
        tasks: the tasks, each with held-out prompts.
        settings: what is measured.
        policies: the policies by name, which are loaded one at a time.
        reference: the policy that the KL divergence is measured from, which stays loaded; `None` for no divergence.
        opponent: the policy that win rates are against, perhaps the reference itself; `None` for no win rates.
        keep: the number of responses kept for each policy, task and mode; `None` for all.
        command: the command that the user typed, for the record.

    Returns:
        The content of `evaluation.json`.
    """
    comparison = Comparison(tasks, settings, SampleFile(folder / SAMPLES, keep), say)
    base = None if reference is None else reference.load()
    if opponent is not None:
        comparison.sample_opponent(base if opponent is reference and base is not None else opponent.load())
    for name, candidate in policies.items():
        comparison.add(name, candidate.load(), base)
    found = comparison.results()
    return {
        "policies": {name: {"path": policies[name].path, **numbers} for name, numbers in found["policies"].items()},
        "differences": found["differences"],
        "reference": None if reference is None else reference.path,
        "opponent": None if opponent is None else opponent.path,
        "win_by": list(settings.win_by),
        "seed": settings.seed,
        "resamples": settings.resamples,
        "version": __version__,
        "command": command,
    }
