"""The judge that asks a language model, in this process or behind an endpoint."""

from cgpo.judges.language_model.judge import LanguageModelJudge

__all__ = ["LanguageModelJudge"]
