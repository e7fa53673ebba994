"""Policies side by side: the same prompts, the same random numbers, one model at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from cgpo.evaluation.assessment import Assessment, Decoding, HeldOutTask, assess
from cgpo.evaluation.bootstrap import resampling
from cgpo.evaluation.numbers import Tree, differences, estimates, numbers_of
from cgpo.evaluation.samples import SampleFile
from cgpo.progress import Work, bar
from cgpo.protocols import Policy, RewardModel
from cgpo.seeds import derived_seed

OPPONENT = "opponent"
"""The name of the opponent's rows in `samples.jsonl`."""
SAMPLED, GREEDY = "sampled", "greedy"


@dataclass(frozen=True)
class Settings:
    """What is counted.

    Attributes:
        seed: of all draws and resamples.
        pass_at: each `k` of pass@k, at most the number of sampled responses.
        win_by: criteria of the win rates: `reward`, `gold`, names of judges.
        resamples: of the bootstrap.
        measures: further numbers of a response, by name.
        max_tokens: budget of one forward pass of the reference.
    """

    seed: int
    pass_at: Sequence[int] = ()
    win_by: Sequence[str] = ()
    resamples: int = 1000
    measures: Mapping[str, RewardModel] = field(default_factory=dict)
    max_tokens: int = 8192


class Comparison:
    """Collects the numbers of one policy after another.

    Args:
        tasks: with held-out prompts each.
        settings: what is counted.
        keep: where samples are kept.
        announce: told in one line what was done.
    """

    def __init__(
        self, tasks: Sequence[HeldOutTask], settings: Settings, keep: SampleFile, announce: Callable[[str], None]
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._keep = keep
        self._announce = announce
        self._opponent: dict[tuple[str, str], Assessment] = {}
        self._numbers: dict[str, dict[str, dict[str, Tree]]] = {}

    def face(self, opponent: Policy) -> None:
        """Draws the responses that win rates are against; from other random numbers than the policies'.

        With the same ones, a policy that is near the opponent would tie with it because their dice fell alike.
        """
        with self._bar(OPPONENT) as work:
            for task in self._tasks:
                for mode, drawing in task.drawings.items():
                    found = self._assess(OPPONENT, opponent, None, task, mode, drawing)
                    self._opponent[task.expert.name, mode] = found
                    work.advance(len(task.prompts) * drawing.copies)
                self._say(OPPONENT, task)

    def add(self, name: str, policy: Policy, reference: Policy | None) -> None:
        """Evaluates a policy on every task; its numbers and samples are kept, the model is not."""
        self._numbers[name] = {}
        with self._bar(name) as work:
            for task in self._tasks:
                modes = self._numbers[name][task.expert.name] = {}
                for mode, drawing in task.drawings.items():
                    to = reference if mode == SAMPLED and drawing.exact else None
                    found = self._assess(name, policy, to, task, mode, drawing)
                    modes[mode] = numbers_of(
                        found,
                        self._settings.pass_at if mode == SAMPLED else (),
                        self._opponent.get((task.expert.name, mode)),
                        self._settings.win_by,
                    )
                    work.advance(len(task.prompts) * drawing.copies)
                self._say(name, task)

    def results(self) -> dict[str, Any]:
        """The parts `policies` and `differences` of `evaluation.json`."""
        resamples = {
            task.expert.name: resampling(
                len(task.prompts),
                self._settings.resamples,
                derived_seed(self._settings.seed, "bootstrap", task.expert.name),
            )
            for task in self._tasks
        }
        first, *others = self._numbers
        return {
            "policies": {
                name: {
                    "tasks": {
                        task.expert.name: {
                            "prompts": len(task.prompts),
                            **{
                                mode: {"responses": len(task.prompts) * task.drawings[mode].copies}
                                | estimates(tree, resamples[task.expert.name])
                                for mode, tree in by_task[task.expert.name].items()
                            },
                        }
                        for task in self._tasks
                    }
                }
                for name, by_task in self._numbers.items()
            },
            "differences": {
                "from": first,
                "policies": {
                    name: {
                        "tasks": {
                            task: {
                                mode: differences(self._numbers[first][task][mode], tree, resamples[task])
                                for mode, tree in modes.items()
                            }
                            for task, modes in self._numbers[name].items()
                        }
                    }
                    for name in others
                },
            },
        }

    def _assess(
        self, name: str, policy: Policy, reference: Policy | None, task: HeldOutTask, mode: str, drawing: Decoding
    ) -> Assessment:
        seed, measures = self._settings.seed, self._settings.measures
        purpose = OPPONENT if name == OPPONENT else "evaluation"
        # A seed for each prompt: what is drawn for it depends neither on other prompts nor on how long responses are.
        seeds = [derived_seed(seed, purpose, task.expert.name, prompt.key) for prompt in task.prompts]
        rollout = drawing.sampler.sample(policy, task.prompts, drawing.copies, seeds)
        found = assess(policy, reference, task.expert, rollout, measures, self._settings.max_tokens)
        self._keep.add(name, task.expert.name, mode, found)
        return found

    def _bar(self, name: str) -> AbstractContextManager[Work]:
        responses = (len(task.prompts) * drawing.copies for task in self._tasks for drawing in task.drawings.values())
        return bar(f"evaluating {name}", sum(responses))

    def _say(self, name: str, task: HeldOutTask) -> None:
        drawn = (f"{len(task.prompts) * drawing.copies} {mode}" for mode, drawing in task.drawings.items())
        self._announce(f"{name}: {task.expert.name}, {' and '.join(drawn)} responses")
