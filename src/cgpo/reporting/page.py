"""The page: one HTML file that brings its data, its scripts and its styles, and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from cgpo.errors import UserError
from cgpo.files import write_atomically
from cgpo.reporting.sections import sections

SCRIPTS = ("elements.js", "overview.js", "charts.js", "sections.js", "samples.js", "start.js")
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def page(runs: Sequence[Mapping[str, Any]], title: str = "cgpo report") -> str:
    """Makes the HTML page of some runs.

    Responses are untrusted. They are embedded as JSON without any `<`, scripts show them as text and never as HTML,
    and the page's content security policy allows only the scripts that are embedded here.

    Args:
        runs: the `content` of each run.
        title: the title of the page.

    Raises:
        UserError: the extra `report` is not installed.
    """
    plotly = _inline(_plotly())
    own = _inline("\n".join(_template(name) for name in SCRIPTS))
    data = {
        "title": title,
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "runs": list(runs),
        "sections": _sections(runs),
    }
    parts = {
        "policy": _policy(plotly, own),
        "title": escape(title),
        "style": _template("page.css"),
        "data": orjson.dumps(data).decode().replace("<", "\\u003c"),
        "plotly": plotly,
        "script": own,
    }
    return PLACEHOLDER.sub(lambda match: parts[match[1]], _template("page.html"))


def _sections(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the sections of the page with what they draw; see `cgpo.metrics`."""
    tasks = list(dict.fromkeys(task for run in runs for task in run["tasks"]))
    found = sections((name for run in runs for name in run["metrics"]), tasks)
    return [asdict(section) for section in found if section.group.report]


def write_page(path: Path, html: str, overwrite: bool = False) -> None:
    """Writes the page whole or not at all.

    Args:
        path: the file.
        html: the page.
        overwrite: whether an existing file is replaced.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    check_output(path, overwrite)
    try:
        write_atomically(path, html)
    except OSError as error:
        raise UserError(f"{path}: the report cannot be written: {error.strerror}") from error


def check_output(path: Path, overwrite: bool) -> None:
    """Checks that a page may be written to a file; see `write_page`.

    Raises:
        UserError: it may not.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file: output={path / 'report.html'}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it, or choose another output=FILE")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; choose another output=FILE, or say overwrite=true")


def _template(name: str) -> str:
    return resources.files("cgpo.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        plotly: Any = importlib.import_module("plotly.offline")
    except ImportError as error:
        raise UserError("the report draws with plotly, which is missing: pip install 'cgpo[report]'") from error
    return plotly.get_plotlyjs()


def _inline(script: str) -> str:
    """Escapes a script so that nothing in its text ends the element that contains it."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(*scripts: str) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
