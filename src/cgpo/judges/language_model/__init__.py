"""Judges that are language models, in process or behind an endpoint."""

from cgpo.judges.language_model.judge import LanguageModelJudge

__all__ = ["LanguageModelJudge"]
