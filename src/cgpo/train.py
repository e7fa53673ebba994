"""The main job as a module: `python -m cgpo.train optimizer=crpg judges=all tasks=paper` is `cgpo train …`."""

from __future__ import annotations

import sys

from cgpo.cli.main import find, run_verb

if __name__ == "__main__":
    run_verb(find("train"), sys.argv[1:], ("python", "-m", "cgpo.train"))
