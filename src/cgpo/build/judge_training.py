"""From the configuration of the command that trains a judge to the stage that does it."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf
from cgpo.build.components import check_classes, try_to_make
from cgpo.build.plan import Config, resolved
from cgpo.data.holdout import check_holdout
from cgpo.errors import UserError
from cgpo.models.pretrained import require_model_path
from cgpo.stages.judge_model import LabelledJudge


GIVEN = {
    "input": "the file of labelled rows, input=rows.jsonl",
    "output": "the folder of the judge model to be, output=FOLDER",
    "model.path": "the language model to start from, model.path=FOLDER",
    "template": "what the judge is asked: false_refusal, factuality, safety or a .txt file, template=safety",
}
"""What every call has to name."""
ANSWERS = {"false_refusal": (" no", " yes"), "suite_false_refusal": (" no", " yes")}
"""The answers that mean satisfied and violated, where they are not yes and no."""


def training_plan(config: DictConfig) -> Config:
    """Plain containers of a composed configuration, every value checked.

    Raises:
        UserError: a value is missing, or is not what it should be.
    """
    for key, what in GIVEN.items():
        if OmegaConf.is_missing(*_parent(config, key)) or not OmegaConf.select(config, key):
            raise UserError(f"{key} is missing: name {what}")
    plan = resolved(config)
    if not isinstance(plan["held_out"], int | float) or isinstance(plan["held_out"], bool):
        raise UserError(f"held_out is {plan['held_out']!r}: it must be a share below 1, or a number of rows")
    if not isinstance(plan["seed"], int) or isinstance(plan["seed"], bool):
        raise UserError(f"seed is {plan['seed']!r}: it must be a whole number")
    check_holdout(plan["held_out"])
    check_classes("fit", plan["fit"])
    try:
        require_model_path(str(plan["model"]["path"]))
    except UserError as error:
        raise UserError(f"model.path: {error}") from error
    return plan


def labelled_judge(plan: Config) -> LabelledJudge:
    """The stage of a plan.

    Raises:
        UserError: a setting of `fit` is out of its range.
    """
    template = str(plan["template"])
    answers = ANSWERS.get(template, (" yes", " no"))
    given = (plan["positive"], plan["negative"])
    positive, negative = (str(own or usual) for own, usual in zip(given, answers, strict=True))
    return LabelledJudge(str(plan["model"]["path"]), template, positive, negative, try_to_make("fit", plan["fit"]))


def _parent(config: DictConfig, key: str) -> tuple[DictConfig, str]:
    parent, _, name = key.rpartition(".")
    return (config[parent] if parent else config), name
