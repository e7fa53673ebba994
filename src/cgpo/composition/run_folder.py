"""The folder of a run: never overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

OWN = ("config.yaml", "summary.json", "evaluation.json", "metrics.csv", "samples.jsonl", "policy")
"""The files that make a folder a run's."""


class NeverOverwrite(Callback):
    """Stops before Hydra writes its first file if the folder holds a run."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Of a single run."""
        _refuse_if_taken(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Of a sweep."""
        _refuse_if_taken(Path(config.hydra.sweep.dir))


def _refuse_if_taken(folder: Path) -> None:
    # What Hydra leaves of a command that failed at start-up is no run.
    places = [folder, *(child for child in folder.glob("[!.]*") if child.is_dir())]
    if any((place / name).exists() for place in places for name in OWN):
        # Hydra swallows exceptions of its callbacks, so that only an exit gets through.
        raise SystemExit(f"error: {folder} holds a run already, and runs are never overwritten; choose another folder")


def write_config(folder: Path, config: DictConfig) -> None:
    """The configuration as it was used, interpolations resolved."""
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
