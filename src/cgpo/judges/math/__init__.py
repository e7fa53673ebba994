"""The judge of mathematical answers: it extracts the final answer and compares it with the ground truth."""

from cgpo.judges.math.judge import MathJudge

__all__ = ["MathJudge"]
