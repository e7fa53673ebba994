"""A judged file's own keys: which judges, and whether each has a model that reads what is in the file."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from cgpo.bounds import is_mapping
from cgpo.config.commands import JudgeFileConfig
from cgpo.config.components import artifacts, check_components
from cgpo.config.composing import members
from cgpo.config.references import check_artifacts, check_models, named_models
from cgpo.config.tasks import check_panel, without_unread_model
from cgpo.errors import UserError, choose

GIVEN_LATER = ("judges", "versions")
"""Arguments of the panel that it is given when it is made."""


def finished_judging(config: JudgeFileConfig, composed: DictConfig) -> JudgeFileConfig:
    """The same, with every name and class checked.

    Args:
        config: as it was read.
        composed: as Hydra composed it, interpolations included.

    Raises:
        UserError: naming the key and what it must be.
    """
    if not config.judges:
        raise UserError(f"judges is missing: {choose('', members('judges'))}, or a list of them, judges=[math,code]")
    _check_judge_models(composed)
    judges = {name: without_unread_model(judge) for name, judge in config.judges.items()}
    check_components(judges)
    check_panel(config.panel, {*judges, *members("judges")})
    check_components(config.panel, later=GIVEN_LATER)
    check_models(named_models(judges))
    if artifacts(judges):
        check_artifacts(config.pipeline, judges)
        check_components(config.pipeline)
    return config.model_copy(update={"judges": judges})


def _check_judge_models(composed: DictConfig) -> None:
    """Refuses a judge whose language model nobody named: it would be the suite's, which cannot read other texts."""
    as_written: object = OmegaConf.to_container(composed.judges, resolve=False)
    assert is_mapping(as_written)
    for name, model in composed.judge_models.items():
        for judge, settings in as_written.items():
            asks = is_mapping(settings) and settings.get("endpoint")
            if model is None and f"${{judge_models.{name}}}" in str(settings) and not asks:
                raise UserError(
                    f"judges.{judge} needs a language model: name one, judge_models.{name}=FOLDER, or a server, "
                    f"judges.{judge}.endpoint={{url: …, model: …}} (judge_models.{name}=artifact:judge_{name} is the "
                    "suite's own, which reads nothing but the suite's language)"
                )
