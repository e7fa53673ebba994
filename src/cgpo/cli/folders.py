"""Where configuration files lie: those of this program, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def config_folder() -> Path:
    """`conf/`: inside the package when it was installed from a wheel, at the top of the repository otherwise."""
    packaged = Path(__file__).parents[1] / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "conf"


def own_folder(arguments: Sequence[str]) -> Path | None:
    """The user's own folder, which `--config-dir` names; `None` where there is none."""
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, inline = flag.partition("=")
        if name in ("--config-dir", "-cd"):
            return Path(inline or value)
    return None


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """All folders with configuration files, the user's own last."""
    own = own_folder(arguments)
    return [config_folder(), *([] if own is None else [own])]
