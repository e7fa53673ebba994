"""From the configuration of the command that judges a file to its judges."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from omegaconf import DictConfig, OmegaConf
from cgpo.build.components import check_classes, try_to_make
from cgpo.build.devices import placed, training_device
from cgpo.build.panels import build_panel
from cgpo.build.artifacts import Announce, artifact_store, check_recipes, check_references
from cgpo.build.plan import Config, check_panel_names, resolved, without_unread_model
from cgpo.errors import choose
from cgpo.errors import UserError
from cgpo.judges.base import Judge, check_judge
from cgpo.protocols import JudgePanel
from cgpo.stages.artifacts import references


GIVEN = {"input": "the file of rows, input=rows.jsonl", "output": "the file of verdicts, output=verdicts.jsonl"}
"""What every call has to name."""

SPENDING = frozenset({"cache", "max_calls", "max_tokens", "beyond_cap"})
"""Settings of the panel that may change where a file is taken up again: verdicts do not depend on them."""


@dataclass(frozen=True)
class Judging:
    """What a file is judged with.

    Attributes:
        judges: by name.
        panel: the same judges as one.
        settings: what the verdicts depend on.
    """

    judges: dict[str, Judge]
    panel: JudgePanel
    settings: Config

    def close(self) -> None:
        """Closes the judges that hold processes or connections."""
        with suppress(OSError):
            self.panel.close()


def judging_plan(config: DictConfig, judge_choices: Collection[str]) -> Config:
    """Plain containers of a composed configuration, every value checked.

    Args:
        config: as Hydra composed it.
        judge_choices: names of the judges there are.

    Raises:
        UserError: a value is missing, or is not what it should be.
    """
    for key, what in GIVEN.items():
        if OmegaConf.is_missing(config, key) or not config[key]:
            raise UserError(f"{key} is missing: name {what}")
    if not config.judges:
        raise UserError(f"judges is missing: {choose('', judge_choices)}, or a list of them, judges=[math,code]")
    _check_judge_models(config)
    plan = resolved(config)
    if not isinstance(plan["chunk"], int) or isinstance(plan["chunk"], bool) or plan["chunk"] < 1:
        raise UserError(f"chunk is {plan['chunk']!r}: it must be a whole number of at least 1")
    judges = {name: without_unread_model(judge) for name, judge in plan["judges"].items()}
    plan["judges"] = placed(judges, training_device({}))
    for group in ("judges", "panel"):
        check_classes(group, plan[group])
    check_panel_names(plan["panel"], {*plan["judges"], *judge_choices})
    try_to_make("", {**plan["panel"], "judges": {}})
    if references(plan["judges"]):
        check_references(plan["pipeline"], plan["judges"])
        check_recipes(plan["pipeline"])
    return plan


def build_judging(plan: Config, announce: Announce) -> Judging:
    """The judges of a plan; what the pipeline has to make for them is made.

    Raises:
        UserError: a judge cannot be made; the message names it.
    """
    configs = plan["judges"]
    if references(configs):
        configs = artifact_store(plan, announce).resolve(configs)
    judges = {
        name: check_judge(f"judges.{name}", try_to_make(f"judges.{name}", config)) for name, config in configs.items()
    }
    rules = {key: value for key, value in plan["panel"].items() if key not in SPENDING}
    return Judging(judges, build_panel(plan["panel"], judges, configs), {"judges": configs, "panel": rules})


def _check_judge_models(config: DictConfig) -> None:
    """Refuses a judge whose language model nobody named: it would be the suite's, which cannot read other texts."""
    as_written: Any = OmegaConf.to_container(config.judges, resolve=False)
    for name, model in config.judge_models.items():
        for judge, settings in as_written.items():
            if model is None and f"${{judge_models.{name}}}" in str(settings) and not settings.get("endpoint"):
                raise UserError(
                    f"judges.{judge} needs a language model: name one, judge_models.{name}=FOLDER, or a server, "
                    f"judges.{judge}.endpoint={{url: …, model: …}} (judge_models.{name}=artifact:judge_{name} is the "
                    "suite's own, which reads nothing but the suite's language)"
                )
