"""The judge of mathematical answers: it extracts the final answer and compares it with the row's.

The judge is imported when it is first used: the process that compares expressions, which is a module of this package,
does without it and without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgpo.judges.math.judge import MathJudge

__all__ = ["MathJudge"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from cgpo.judges.math import judge

        return getattr(judge, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
