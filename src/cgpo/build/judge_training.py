"""From the configuration of the command that trains a judge to the stage that does it."""

from __future__ import annotations

from cgpo.build.objects import make
from cgpo.config import TrainJudgeConfig
from cgpo.data.holdout import check_holdout
from cgpo.stages.judge_model import LabelledJudge

ANSWERS = {"false_refusal": (" no", " yes"), "suite_false_refusal": (" no", " yes")}
"""The answers that mean satisfied and violated, where they are not yes and no."""


def labelled_judge(config: TrainJudgeConfig) -> LabelledJudge:
    """The stage of a configuration.

    Raises:
        UserError: a setting is out of its range.
    """
    check_holdout(config.held_out)
    positive, negative = ANSWERS.get(config.template, (" yes", " no"))
    return LabelledJudge(
        config.model.path,
        config.template,
        config.positive or positive,
        config.negative or negative,
        make(config.fit),
    )
