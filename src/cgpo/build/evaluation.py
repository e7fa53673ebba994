"""From the configuration of an evaluation to what it works with."""

from __future__ import annotations

from collections.abc import Sequence

from cgpo.build.objects import make
from cgpo.config import EvaluateConfig
from cgpo.errors import UserError
from cgpo.evaluation.comparison import GREEDY, SAMPLED, Decoding, EvaluationSettings, HeldOutTask
from cgpo.tasks.expert import Expert


def held_out_tasks(experts: Sequence[Expert], config: EvaluateConfig) -> list[HeldOutTask]:
    """The tasks that have held-out prompts, and how responses to them are drawn.

    Raises:
        UserError: none of them has two.
    """
    settings = config.evaluation
    found: list[HeldOutTask] = []
    for expert in experts:
        decodings: dict[str, Decoding] = {}
        if settings.samples:
            decodings[SAMPLED] = Decoding(expert.sampler, settings.samples)
        if settings.greedy is not None:
            decodings[GREEDY] = Decoding(make(config.tasks[expert.name].rollout.given(**settings.greedy)), 1)
        prompts = expert.held_out[: settings.prompts]
        if len(prompts) > 1:
            found.append(HeldOutTask(expert, prompts, decodings))
    if not found:
        raise UserError(
            f"tasks: {', '.join(e.name for e in experts)}: fewer than two held-out prompts each, so that there is "
            "nothing to evaluate on; hold some out, data.….holdout=100"
        )
    return found


def settings_of(config: EvaluateConfig) -> EvaluationSettings:
    """What is counted."""
    settings = config.evaluation
    return EvaluationSettings(
        seed=config.seed,
        pass_at=settings.pass_at or (),
        win_by=settings.win_by,
        resamples=settings.resamples,
        measures=make(settings.measures),
        max_tokens=config.update.max_tokens,
    )
