"""What the public functions have in common: arguments that are checked, and a screen of their own while they work."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, get_type_hints

from cgpo.bounds import complaint, fits
from cgpo.distributed.rendezvous import find_rendezvous
from cgpo.errors import UserError
from cgpo.progress import SilentScreen, shown_on
from cgpo.runs.process import LOUD, quiet
from cgpo.terminal import Terminal


def check_call(function: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Checks some arguments of a function by their annotations.

    Args:
        function: whose annotations say what they may be.
        given: name → value.

    Raises:
        UserError: naming the function, the argument and what it must be.
    """
    hints = _hints(function)
    for name, value in given.items():
        if not fits(hints[name], value):
            raise UserError(complaint(f"{function.__name__}.{name}", hints[name], value))


@lru_cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


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
