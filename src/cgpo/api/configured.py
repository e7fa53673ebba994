"""Training by a configuration that Hydra composed, as `cgpo train` does it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec

from omegaconf import DictConfig, OmegaConf

from cgpo.api.calls import on_screen
from cgpo.api.runs import Run, load_run
from cgpo.config import read_config
from cgpo.errors import UserError
from cgpo.progress import say
from cgpo.runs.folder import make_run_folder
from cgpo.runs.resume import is_complete
from cgpo.runs.session import begin
from cgpo.runs.train import train

P = ParamSpec("P")
BESIDE = frozenset({"folder", "progress"})
"""What may be said beside a configuration."""


def or_configuration(function: Callable[P, Run]) -> Callable[P, Run]:
    """A function that trains, or is given a configuration in the place of its first argument."""

    @wraps(function)
    def either(*args: P.args, **settings: P.kwargs) -> Run:
        config: Any = args[0] if args else settings.get("policy")
        if not isinstance(config, DictConfig):
            return function(*args, **settings)
        further = ["tasks" for _ in args[1:2]] + [name for name in settings if name not in BESIDE | {"policy"}]
        if further:
            raise UserError(f"{function.__name__}.{further[0]}: a configuration says that itself; set it there")
        folder: Any = settings.get("folder")
        return fit_config(config, folder, bool(settings.get("progress", True)))

    return either


def fit_config(composed: DictConfig, folder: str | PathLike[str] | None, progress: bool) -> Run:
    """Trains as a configuration says.

    Args:
        composed: by Hydra, from `conf/train.yaml`.
        folder: of the run; `None` names it after the time.
        progress: whether lines and bars are shown.

    Raises:
        UserError: naming the key and what it must be.
    """
    resume = OmegaConf.select(composed, "trainer.resume")
    if resume not in (None, "auto"):
        folder = resume
    if resume is not None and folder is None:
        raise UserError("trainer.resume: name the run that is to go on, trainer.resume=FOLDER or fit(…, folder=FOLDER)")
    with on_screen(progress):
        # What can be told wrong is told before there is a folder.
        config = read_config(composed, "train", Path("runs"))
        begun = folder is not None and resume is not None and (Path(folder) / "config.yaml").is_file()
        made = (
            Path(folder) if begun and folder is not None else make_run_folder(None if folder is None else Path(folder))
        )
        whole = composed.copy()
        OmegaConf.update(whole, "run_folder", str(made), force_add=True)
        config = read_config(whole, "train", made)
        for note in config.notes:
            say(note, important=True)
        session = begin(config, whole)
        hardware = session.hardware
        if session.rendezvous is None and hardware.processes > 1:
            raise UserError(
                f"trainer.devices: this configuration is for {hardware.processes} processes; start the script by "
                f"torchrun --nproc-per-node {hardware.devices}, or the run by cgpo train"
            )
        if session.resumed and is_complete(made):
            say(f"{made}: this run has come to its end already")
        else:
            train(session, ())
            say(f"all of it lies in {made}")
    return load_run(made)
