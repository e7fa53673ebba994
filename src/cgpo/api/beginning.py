"""How a run from Python begins: where it takes place, whose folder it has, and what watches it."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from lightning import Callback
from omegaconf import OmegaConf

from cgpo.api.record import yaml_of
from cgpo.build.devices import training_device
from cgpo.config import Precision, Strategy, TrainerConfig
from cgpo.distributed.rendezvous import Rendezvous, broadcast, find_rendezvous, joined_processes
from cgpo.errors import UserError
from cgpo.runs.folder import make_run_folder, refuse_if_taken, write_record
from cgpo.runs.resume import alone_in, check_same, is_complete
from cgpo.training.callbacks import (
    Checkpoints,
    Evaluator,
    HackingAlarm,
    SampleLog,
    SkippedUpdates,
    TaskMetrics,
    Watchdog,
)
from cgpo.training.hardware import Hardware, check_rendezvous, hardware_of


@dataclass(frozen=True)
class Place:
    """Where a run takes place.

    Attributes:
        hardware: devices, and how they share the work.
        rendezvous: this process's place among those that torchrun started; `None` where it is alone.
        device: that this process trains on.
    """

    hardware: Hardware
    rendezvous: Rendezvous | None
    device: str

    @property
    def first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rendezvous is None or self.rendezvous.rank == 0


@contextmanager
def find_place(strategy: Strategy, precision: Precision, accelerator: str) -> Generator[Place]:
    """Finds out who trains, and on what; the other processes are there meanwhile.

    Raises:
        UserError: several processes were started, and they are not told how to share the work.
    """
    found = find_rendezvous()
    size = 1 if found is None else found.size
    if strategy == "single" and size > 1:
        raise UserError(f"fit.strategy is 'single', but {size} processes were started; write strategy='ddp' or 'fsdp'")
    devices = min(size, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    trainer = TrainerConfig(
        strategy=strategy,
        devices=devices,
        nodes=size // devices,
        tensor_parallel=1,
        precision=precision,
        threads="auto",
        resume=None,
        options={"accelerator": accelerator},
    )
    hardware = hardware_of(trainer)
    check_rendezvous(hardware, found)
    with nullcontext() if strategy == "single" else joined_processes(found or Rendezvous()):
        yield Place(hardware, found, training_device(trainer))


@dataclass(frozen=True)
class Begun:
    """A run whose folder is claimed.

    Attributes:
        folder: of the run.
        resumed: whether it was begun before.
    """

    folder: Path
    resumed: bool

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return is_complete(self.folder)


def find_begun(folder: str | PathLike[str] | None, record: Mapping[str, Any], resume: bool) -> Begun | None:
    """Finds the run that is to go on; `None` where there is none, and a new one may lie there.

    Args:
        folder: of the run; `None` for a new one by the time.
        record: what the run is made of.
        resume: whether a run that was begun goes on.

    Raises:
        UserError: the folder holds a run, and it is not to go on, or was begun with something else.
    """
    if folder is None:
        if resume:
            raise UserError("fit.resume: name the run that is to go on, folder=…")
        return None
    if resume and (Path(folder) / "config.yaml").is_file():
        check_same(Path(folder), OmegaConf.create(dict(record)))
        return Begun(Path(folder), resumed=True)
    refuse_if_taken(Path(folder))
    return None


def claim(folder: str | PathLike[str] | None, record: Mapping[str, Any], place: Place) -> Begun:
    """Makes a new run's folder, and writes down what it is made of; all processes together.

    Raises:
        UserError: another run has it, or it cannot be made.
    """
    made: Path | None = None
    if place.first:
        made = make_run_folder(None if folder is None else Path(folder))
        write_record(made, yaml_of(record))
    found = broadcast(made)
    assert found is not None
    return Begun(found, resumed=False)


def alone(begun: Begun, place: Place) -> AbstractContextManager[None]:
    """No other program writes into the run's folder meanwhile."""
    return alone_in(begun.folder) if place.first else nullcontext()


def watching(
    folder: Path, evaluator: Evaluator, checkpoint_every: int, further: Sequence[Callback]
) -> dict[str, Callback]:
    """What watches a run, as `conf/train.yaml` has it.

    Args:
        folder: of the run.
        evaluator: evaluates.
        checkpoint_every: updates between two checkpoints.
        further: callbacks of the user's own.
    """
    return {
        "watchdog": Watchdog(),
        "metrics": TaskMetrics(),
        "samples": SampleLog(str(folder / "samples.jsonl")),
        "evaluation": evaluator,
        "skipped": SkippedUpdates(str(folder / "skipped")),
        "checkpoints": Checkpoints(str(folder / "checkpoints"), every=checkpoint_every, logs=str(folder)),
        "alarm": HackingAlarm(str(folder / "alarms.jsonl")),
        **{f"own_{number}": callback for number, callback in enumerate(further)},
    }
