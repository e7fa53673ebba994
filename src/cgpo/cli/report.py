"""Runs as one HTML page: `python -m cgpo.cli.report runs/2026-01-31/12-00-00 --output report.html`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cgpo.errors import UserError
from cgpo.report import content, named_runs, page, write_page
from cgpo.report.page import check_output


def report(folders: Sequence[str], output: Path, overwrite: bool = False, most_samples: int = 5000) -> None:
    """Writes the report of some runs.

    Raises:
        UserError: a folder holds no run, a file of one cannot be read, or the page cannot be written.
    """
    check_output(output, overwrite)
    runs = [content(name, run, most_samples) for name, run in named_runs(folders).items()]
    write_page(output, page(runs, " · ".join(run["name"] for run in runs)), overwrite)
    for run in runs:
        if run["left_out"]:
            print(f"{run['name']}: {run['left_out']} older samples are left out; --samples shows more")
    print(f"{output}: {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {output.stat().st_size / 1e6:.1f} MB; open it")


def _whole_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 0")
    return int(text)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m cgpo.cli.report",
        description="Writes one HTML page about runs, finished or under way; it opens from disk and needs no network.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or a sweep's for all its runs")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="the page (default: report.html)")
    parser.add_argument("--overwrite", action="store_true", help="replace the page if it is there")
    parser.add_argument(
        "--samples", type=_whole_number, default=5000, metavar="N", help="most samples of a run, the latest (5000)"
    )
    arguments = parser.parse_args()
    try:
        report(arguments.runs, arguments.output, arguments.overwrite, arguments.samples)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
