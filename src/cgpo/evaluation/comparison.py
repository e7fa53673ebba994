"""Policies side by side: the same prompts, the same random numbers, one model at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgpo.evaluation.assessment import Assessment, assess
from cgpo.evaluation.bootstrap import draw_resamples
from cgpo.evaluation.numbers import NumberTree, differences, estimates, evaluation_numbers
from cgpo.files import append_json_lines
from cgpo.progress import Work, bar
from cgpo.protocols import Policy, RewardModel, Sampler
from cgpo.seeds import derived_seed
from cgpo.tasks.expert import Expert
from cgpo.tensors import int_list
from cgpo.types import Prompt, Verdict

OPPONENT = "opponent"
"""The name of the opponent's rows in `samples.jsonl`."""
SAMPLED, GREEDY = "sampled", "greedy"


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured.

    Attributes:
        seed: the seed of all samples and resamples.
        pass_at: each `k` of pass@k, at most the number of sampled responses.
        win_by: the criteria of the win rates: `reward`, `gold`, names of judges.
        resamples: the number of resamples of the bootstrap.
        measures: further numbers of a response, by name.
        max_tokens: the budget of one forward pass of the reference in tokens.
    """

    seed: int
    pass_at: Sequence[int] = ()
    win_by: Sequence[str] = ()
    resamples: int = 1000
    measures: Mapping[str, RewardModel] = field(default_factory=dict[str, RewardModel])
    max_tokens: int = 8192


@dataclass(frozen=True)
class Decoding:
    """One way of sampling responses.

    Attributes:
        sampler: the sampler.
        copies: the number of responses to each prompt.
    """

    sampler: Sampler
    copies: int

    @property
    def exact(self) -> bool:
        """Whether the policy's own distribution is sampled: at temperature 1, without a top-p or top-k cut."""
        whole = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
        return all(getattr(self.sampler, name, value) == value for name, value in whole.items())


@dataclass(frozen=True)
class HeldOutTask:
    """A task's held-out prompts and the ways in which responses to them are sampled.

    Attributes:
        expert: the task.
        prompts: `P` prompts.
        decodings: how responses are sampled, by mode: `sampled`, `greedy`.
    """

    expert: Expert
    prompts: tuple[Prompt, ...]
    decodings: Mapping[str, Decoding]

    @property
    def responses(self) -> int:
        """The number of responses in all modes."""
        return sum(len(self.prompts) * decoding.copies for decoding in self.decodings.values())


@dataclass(frozen=True)
class SampleFile:
    """The file of the responses behind an evaluation's numbers, `samples.jsonl`.

    A row has `policy`, `task`, `mode`, `key`, `index` (of the response among those to its prompt), `prompt`,
    `response`, `length` (tokens), `finished`, `reward`, `log_ratio` (to the reference in nats, or null), `satisfied`
    (by all of the task's own judges; null if undecided), `verdicts` (judge → outcome and reason), `gold` (outcome and
    reason, or null) and `measures`.

    Attributes:
        path: the file.
        keep: the number of responses kept for each policy, task and mode, the first ones; `None` for all.
    """

    path: Path
    keep: int | None = None

    def add(self, policy: str, task: str, mode: str, found: Assessment) -> None:
        """Appends the rows of one policy's responses to one task in one mode."""
        rows = _rows(found, len(found.rollout.responses) if self.keep is None else self.keep)
        append_json_lines(self.path, ({"policy": policy, "task": task, "mode": mode, **row} for row in rows))


def _rows(found: Assessment, count: int) -> list[dict[str, Any]]:
    rollout, verdicts = found.rollout, found.verdicts
    by_judge = {**verdicts.by_judge, **found.also}
    lengths = int_list(rollout.response_mask.sum(-1))
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
            "verdicts": {judge: _verdict_row(given[i]) for judge, given in by_judge.items()},
            "gold": None if found.gold is None else _verdict_row(found.gold[i]),
            "measures": {name: values[i].item() for name, values in found.measures.items()},
        }
        for i, sample in enumerate(rollout.samples[:count])
    ]


def _verdict_row(verdict: Verdict) -> Mapping[str, str]:
    return {"outcome": verdict.outcome.value, "reason": verdict.reason}


class Comparison:
    """Collects the numbers of one policy after another.

    Args:
        tasks: the tasks, each with held-out prompts.
        settings: what is measured.
        samples: the file of samples.
        announce: gets a line about each task that was evaluated.
    """

    def __init__(
        self,
        tasks: Sequence[HeldOutTask],
        settings: EvaluationSettings,
        samples: SampleFile,
        announce: Callable[[str], None],
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._samples = samples
        self._announce = announce
        self._opponent: dict[tuple[str, str], Assessment] = {}
        self._numbers: dict[str, dict[str, dict[str, NumberTree]]] = {}

    def sample_opponent(self, opponent: Policy) -> None:
        """Samples the opponent's responses for win rates, with other random numbers than those of the policies.

        With the same numbers, a policy close to the opponent would tie with it because they draw the same tokens.
        """
        with self._bar(OPPONENT) as work:
            for task in self._tasks:
                for mode, decoding in task.decodings.items():
                    found = self._assess(OPPONENT, opponent, None, task, mode, decoding)
                    self._opponent[task.expert.name, mode] = found
                    work.advance(len(task.prompts) * decoding.copies)
                self._say(OPPONENT, task)

    def add(self, name: str, policy: Policy, reference: Policy | None) -> None:
        """Evaluates a policy on every task and keeps its numbers and samples, but not the model."""
        self._numbers[name] = {}
        with self._bar(name) as work:
            for task in self._tasks:
                modes = self._numbers[name][task.expert.name] = {}
                for mode, decoding in task.decodings.items():
                    to = reference if mode == SAMPLED and decoding.exact else None
                    found = self._assess(name, policy, to, task, mode, decoding)
                    modes[mode] = evaluation_numbers(
                        found,
                        self._settings.pass_at if mode == SAMPLED else (),
                        self._opponent.get((task.expert.name, mode)),
                        self._settings.win_by,
                    )
                    work.advance(len(task.prompts) * decoding.copies)
                self._say(name, task)

    def results(self) -> dict[str, Any]:
        """Returns the parts `policies` and `differences` of `evaluation.json`."""
        resamples = {
            task.expert.name: draw_resamples(
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
                                mode: {"responses": len(task.prompts) * task.decodings[mode].copies}
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
        self, name: str, policy: Policy, reference: Policy | None, task: HeldOutTask, mode: str, decoding: Decoding
    ) -> Assessment:
        seed, measures = self._settings.seed, self._settings.measures
        purpose = OPPONENT if name == OPPONENT else "evaluation"
        # With a seed for each prompt, its samples depend neither on other prompts nor on the length of responses.
        seeds = [derived_seed(seed, purpose, task.expert.name, prompt.key) for prompt in task.prompts]
        rollout = decoding.sampler.sample(policy, task.prompts, decoding.copies, seeds)
        found = assess(policy, reference, task.expert, rollout, measures, self._settings.max_tokens)
        self._samples.add(name, task.expert.name, mode, found)
        return found

    def _bar(self, name: str) -> AbstractContextManager[Work]:
        return bar(f"evaluating {name}", sum(task.responses for task in self._tasks))

    def _say(self, name: str, task: HeldOutTask) -> None:
        drawn = (f"{len(task.prompts) * decoding.copies} {mode}" for mode, decoding in task.decodings.items())
        self._announce(f"{name}: {task.expert.name}, {' and '.join(drawn)} responses")
