"""The report: folders of runs in, one HTML page out."""

from cgpo.report.content import content, named_runs
from cgpo.report.page import page, write_page

__all__ = ["content", "named_runs", "page", "write_page"]
