"""The report: folders of runs in, one HTML page out."""

from cgpo.reporting.content import content, named_runs
from cgpo.reporting.page import page, write_page

__all__ = ["content", "named_runs", "page", "write_page"]
