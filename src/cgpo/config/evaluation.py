"""The schema of an evaluation: a run's, with the policies that are put side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from annotated_types import Ge

from cgpo.bounds import Unit
from cgpo.config.sections import Count, Named, Names, Section, Several, Values, Whole
from cgpo.config.training import TrainConfig


class EvaluationConfig(Section):
    """What is drawn and counted on held-out prompts."""

    prompts: Annotated[int, Ge(2), Unit("prompts")]
    """The most held-out prompts of a task; a single one would say nothing of how much prompts differ."""
    samples: Annotated[int, Ge(0), Unit("responses")]
    """Responses sampled to each prompt, drawn as `rollout` says; 0 for none."""
    greedy: Values | None
    """What turns `rollout` into greedy decoding, one response to each prompt, such as `{top_k: 1}`; null for none."""
    pass_at: Annotated[tuple[Count, ...], Several] | None
    """Each k of pass@k, at most `samples`; null for 1 and `samples`."""
    also_judge: Names
    """Judges asked about every task's responses where they are not among its own, without deciding what is right."""
    opponent: str | None
    """Whose responses win rates are against: a folder, a hub id, an artifact or a run; null for the reference."""
    win_by: Names
    """What decides a win: reward, gold, or names of judges; [] for no win rates."""
    resamples: Annotated[int, Ge(100), Unit("resamples")]
    """Resamples of the bootstrap that the intervals come from."""
    keep: Whole | None
    """Responses kept in `samples.jsonl` of each policy, task and mode; null for all."""
    measures: Mapping[str, Named]
    """Further numbers of a response that are reported, by name: reward models that nothing is trained on."""


class EvaluateConfig(TrainConfig):
    """What `cgpo evaluate` reads: tasks, data, rewards, judges and rollout are those of training."""

    policies: Mapping[str, str]
    """What is evaluated: paths by name, or a list of paths; null for `model.path` alone."""
    reference: str
    """What the KL divergence is measured from: a folder, a hub id or an artifact; null for where training began."""
    evaluation: EvaluationConfig
    """What is drawn and counted."""

    def also_judged(self, task: str) -> tuple[str, ...]:
        """The judges that are asked about a task's held-out responses without constraining it."""
        own = self.tasks[task].judges
        return tuple(judge for judge in self.evaluation.also_judge if judge in self.judges and judge not in own)
