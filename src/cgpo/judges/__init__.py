"""Judges: text and metadata in, a verdict and its reason out (section 4.1.4 of the paper).

Each name below is imported when it is first used, so that a judge of rules does not load a language model's library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgpo.judges.base import Cost, Judge
    from cgpo.judges.code import CodeJudge
    from cgpo.judges.instruction_following import InstructionFollowingJudge
    from cgpo.judges.language_model import LanguageModelJudge
    from cgpo.judges.math import MathJudge
    from cgpo.judges.panel import Panel, ProcessJudge, VerdictCache
    from cgpo.judges.refusal import RefusalRulesJudge

_ROOMS = {
    "CodeJudge": "code",
    "Cost": "base",
    "InstructionFollowingJudge": "instruction_following",
    "Judge": "base",
    "LanguageModelJudge": "language_model",
    "MathJudge": "math",
    "Panel": "panel",
    "ProcessJudge": "panel",
    "RefusalRulesJudge": "refusal",
    "VerdictCache": "panel",
}

__all__ = [
    "CodeJudge",
    "Cost",
    "InstructionFollowingJudge",
    "Judge",
    "LanguageModelJudge",
    "MathJudge",
    "Panel",
    "ProcessJudge",
    "RefusalRulesJudge",
    "VerdictCache",
]


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
