"""Judging any model's responses, outside of training: files of rows in, files of verdicts and a summary out."""

from cgpo.judging.streaming import judge_file, judge_rows
from cgpo.judging.summary import summarise
from cgpo.judging.tables import show

__all__ = ["judge_file", "judge_rows", "show", "summarise"]
