"""An evaluation of policies side by side, from a session to the results in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig

from cgpo.build.artifacts import resolved
from cgpo.build.devices import training_device
from cgpo.build.evaluation import held_out_tasks, settings_of
from cgpo.build.policies import load_evaluated, model_readers
from cgpo.build.tasks import build_experts, close_panels
from cgpo.config import EvaluateConfig
from cgpo.evaluation.side_by_side import Candidate, compare
from cgpo.models.chat import StrictestPromptEncoder, load_prompt_encoder
from cgpo.progress import say
from cgpo.runs.session import Session, begin
from cgpo.training.fit import choose_threads
from cgpo.training.summary import write_summary


def begin_evaluation(config: EvaluateConfig, composed: DictConfig) -> Session:
    """Checks what only making it can tell, and claims the evaluation's folder.

    Raises:
        UserError: the configuration or a data file is not what it should be.
    """
    model_readers(config)
    return begin(config, composed)


def evaluate(config: EvaluateConfig, session: Session, command: str) -> Mapping[str, Any]:
    """Evaluates policies side by side on every task, and writes `evaluation.json` and `samples.jsonl`.

    Args:
        config: what is evaluated, and how.
        session: the evaluation.
        command: what was typed, for the record.

    Returns:
        The content of `evaluation.json`.

    Raises:
        UserError: a file or a model is not what it should be.
    """
    written = _compare(config, _resolved(config, session), session, command)
    write_summary(session.folder / "evaluation.json", written)
    return written


def _resolved(config: EvaluateConfig, session: Session) -> EvaluateConfig:
    """The configuration with references replaced by folders; what is missing is made."""
    placed = config.model_copy(update={key: getattr(session.config, key) for key in ("reward", "judges", "callbacks")})
    return resolved(placed, session.store, "reference", "tasks", "reward", "judges", "policies", "evaluation")


def _opponent(config: EvaluateConfig) -> str | None:
    """The path of what win rates are against; `None` where none are asked for."""
    return (config.evaluation.opponent or config.reference) if config.evaluation.win_by else None


def _compare(named: EvaluateConfig, config: EvaluateConfig, session: Session, command: str) -> dict[str, Any]:
    """Compares the policies.

    Args:
        named: the configuration as it was written: what the record says of the policies.
        config: the same with references resolved.
        session: the evaluation.
        command: what was typed.
    """
    opponent = _opponent(config)
    readers = list(model_readers(config).values())
    if opponent is not None:
        readers.append(load_prompt_encoder(opponent))
    experts = build_experts(config, session.prompts, StrictestPromptEncoder(readers), say)
    try:
        reference = load_evaluated(config, config.reference)
        choose_threads(config.trainer.threads, reference, experts[0], training_device(config.trainer))
        base = Candidate(named.reference, lambda: reference)
        against = base if opponent == config.reference else None
        if opponent is not None and against is None:
            against = Candidate(str(_opponent(named)), partial(load_evaluated, config, opponent))
        return compare(
            session.folder,
            held_out_tasks(experts, config),
            settings_of(config),
            {
                name: Candidate(named.policies[name], partial(load_evaluated, config, path))
                for name, path in config.policies.items()
            },
            base,
            against,
            config.evaluation.keep,
            command,
        )
    finally:
        close_panels(experts)
