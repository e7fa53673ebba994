"""What a person sees while a public function is at work; everything is as it was afterwards."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from cgpo.distributed.rendezvous import find_rendezvous
from cgpo.progress import SilentScreen, shown_on
from cgpo.runs.process import LOUD, quiet
from cgpo.terminal import Terminal


@contextmanager
def on_screen(progress: bool) -> Generator[None]:
    """Lines and bars on standard output meanwhile, and no library's noise.

    Args:
        progress: whether anything is shown; of several processes the first alone shows it.
    """
    from transformers.utils import logging as of_transformers

    found = find_rendezvous()
    shown = progress and (found is None or found.rank == 0)
    levels = {name: logging.getLogger(name).level for name in LOUD}
    verbosity, bars = of_transformers.get_verbosity(), of_transformers.is_progress_bar_enabled()
    with warnings.catch_warnings(), shown_on(Terminal() if shown else SilentScreen()):
        quiet()
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            of_transformers.set_verbosity(verbosity)
            if bars:
                of_transformers.enable_progress_bar()
