"""What Hydra composes: where the files lie, which choices a group has, and what was typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from cgpo.config.components import Plain
from cgpo.errors import UserError, choose

ROOTS: Mapping[str, str] = {
    "train": "train",
    "sft": "stages",
    "reward": "stages",
    "warmup": "stages",
    "evaluate": "evaluate",
    "judge": "judge",
    "train-judge": "train_judge",
    "benchmark": "benchmark",
    "reproduce": "reproduce",
    "plan": "plan",
    "report": "report",
    "dashboard": "dashboard",
}
"""The file of `conf/` that each command starts from."""
MISSING = re.compile(r"Missing mandatory value: (?P<key>\S+)")
NAME = re.compile(r"[\w-]+")
PACKAGE = re.compile(r"#\s*@package\s+(?P<package>\S+)")


def config_folder() -> Path:
    """`conf/`: inside the package when it was installed from a wheel, at the top of the repository otherwise."""
    packaged = Path(__file__).parents[1] / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "conf"


def compose(command: str, overrides: Sequence[str] = (), folders: Sequence[Path] = ()) -> DictConfig:
    """What Hydra composes for a command, without running it.

    Args:
        command: such as `train`.
        overrides: as on the command line, `optimizer=crraft`, `updates=5`.
        folders: of one's own, searched after ours.
    """
    paths = ",".join(f"file://{folder.absolute()}" for folder in folders)
    before = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), version_base=None):
            return hydra_compose(ROOTS[command], [*overrides, *([f"hydra.searchpath=[{paths}]"] if folders else [])])
    finally:
        Singleton.set_state(before)


def choices(group: str) -> list[str]:
    """The choices of a group, those of one's own folders included."""
    found = [file.stem for folder in search_folders() for file in (folder / group).glob("*.yaml")]
    return sorted(dict.fromkeys(found))


def members(group: str) -> list[str]:
    """The choices of a group that stand for one member each, and not for several or none: `math`, but not `all`."""
    return [name for name in choices(group) if package_of(f"{group}/{name}") == group]


def package_of(file: str) -> str:
    """Where a file of the configuration puts its keys, as its header says: `judges`, `_global_`; empty by default."""
    for folder in search_folders():
        path = folder / f"{file}.yaml"
        if path.is_file():
            found = PACKAGE.match(path.read_text())
            return found["package"] if found else ""
    return ""


def search_folders() -> Iterator[Path]:
    """The folders that Hydra searches now; ours, where it is not at work."""
    if not GlobalHydra.instance().is_initialized():
        yield config_folder()
        return
    for element in GlobalHydra.instance().config_loader().get_search_path().get_path():
        if element.path and element.path.startswith("file://"):
            yield Path(element.path.removeprefix("file://"))
        elif element.path and "://" not in element.path:
            yield Path(element.path)


def typed_overrides() -> tuple[str, ...]:
    """What was typed at the command line that is being run; nothing where none is."""
    return tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else ()


def typed_names(key: str, overrides: Sequence[str]) -> list[str]:
    """The names that were typed for a key, `judges=[math,code]` or `judges=math`."""
    values = [value for override in overrides for typed, _, value in [override.partition("=")] if typed == key]
    return [name for value in values for name in NAME.findall(value)]


def is_typed(key: str, overrides: Sequence[str]) -> bool:
    """Whether a key is among what was typed."""
    return any(override.partition("=")[0].lstrip("+~") == key for override in overrides)


def tree_of(composed: DictConfig, run_folder: Path | None = None) -> dict[str, Plain]:
    """Plain containers of what Hydra composed, interpolations resolved.

    Args:
        composed: the configuration.
        run_folder: where the run is to lie, where Hydra did not choose it.

    Raises:
        UserError: a value is missing, or cannot be resolved.
    """
    if run_folder is not None and "run_folder" in composed:
        composed = composed.copy()
        OmegaConf.update(composed, "run_folder", str(run_folder))
    _check_size(composed)
    try:
        tree = cast(dict[str, Plain], OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
    except OmegaConfBaseException as error:
        if missing := MISSING.search(str(error)):
            direct = isinstance(error, MissingMandatoryValue) and error.full_key
            raise MissingKeyError(str(direct or missing["key"])) from error
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    return {str(key): value for key, value in tree.items()}


class MissingKeyError(UserError):
    """A key that has to be named is not."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is missing: write {key}=…")
        self.key = key


def _check_size(composed: DictConfig) -> None:
    """Refuses a size that a recipe has no models for, before every interpolation of it fails."""
    sizes = OmegaConf.select(composed, "model.paths")
    size = OmegaConf.select(composed, "model.size")
    if sizes is not None and size is not None and size not in sizes:
        raise UserError(f"model.size is {size!r}: {choose(str(size), map(str, sizes))}")
