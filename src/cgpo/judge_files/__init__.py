"""Judging any model's responses outside of training: a file of responses in, a file of verdicts and a summary out."""

from cgpo.judge_files.streaming import judge_file, judge_rows
from cgpo.judge_files.summary import summarise
from cgpo.judge_files.tables import summary_view

__all__ = ["judge_file", "judge_rows", "summarise", "summary_view"]
