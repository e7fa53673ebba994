"""An evaluation from its first policy to `evaluation.json`: whoever named them, a configuration or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import __version__
from cgpo.evaluation.assessment import HeldOutTask
from cgpo.evaluation.comparison import Comparison, Settings
from cgpo.evaluation.samples import SampleFile
from cgpo.progress import say
from cgpo.protocols import Policy

SAMPLES = "samples.jsonl"
"""The responses behind the numbers, in an evaluation's folder."""


@dataclass(frozen=True)
class Candidate:
    """A policy that is loaded when its turn comes.

    Attributes:
        path: as it was named, for the record.
        load: gives it, on the device where it is to work.
    """

    path: str
    load: Callable[[], Policy]


def compare(
    folder: Path,
    tasks: Sequence[HeldOutTask],
    settings: Settings,
    policies: Mapping[str, Candidate],
    reference: Candidate | None,
    opponent: Candidate | None,
    keep: int | None,
    command: str,
) -> dict[str, Any]:
    """Evaluates policies side by side, and writes their samples.

    Args:
        folder: of the evaluation.
        tasks: with held-out prompts each.
        settings: what is counted.
        policies: by name; one after the other is loaded.
        reference: what the KL divergence is taken from; it stays loaded. `None` for no KL divergence.
        opponent: whose responses win rates are against, perhaps the reference itself; `None` for no win rates.
        keep: responses kept of each policy, task and mode; `None` for all.
        command: what was typed, for the record.

    Returns:
        The content of `evaluation.json`.
    """
    comparison = Comparison(tasks, settings, SampleFile(folder / SAMPLES, keep), say)
    base = None if reference is None else reference.load()
    if opponent is not None:
        comparison.face(base if opponent is reference and base is not None else opponent.load())
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
