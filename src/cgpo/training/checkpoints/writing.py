"""Writes checkpoints, all processes together."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_saver import save  # pyright: ignore[reportUnknownVariableType]

from cgpo.distributed.process_group import Processes
from cgpo.training.checkpoints.catalogue import MANIFEST, UNFINISHED, WEIGHTS, Checkpoint, checksum


def write_checkpoint(
    root: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    processes: Processes,
    score: float | None = None,
    logs: Mapping[str, int] | None = None,
) -> str | None:
    """Writes a checkpoint, all processes together; a failure leaves the existing ones unchanged.

    Args:
        root: the folder of checkpoints.
        step: the number of updates done.
        tensors: weights and moments by name, sharded or not.
        state: the other state of this process: plain values and tensors.
        processes: the processes, all of which call this.
        score: the number by which the best are kept.
        logs: the sizes of the logs, see `Checkpoint`.

    Returns:
        In words why it could not be written, or `None` if it was.
    """
    folder = root / f"step-{step:08d}"
    unfinished = folder.with_name(folder.name + UNFINISHED)
    problem: str | None = None
    try:
        if processes.first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
    except OSError as error:
        problem = _describe(error)
    if found := _first_problem(processes, problem):
        return found
    try:
        save(dict(tensors), checkpoint_id=unfinished / WEIGHTS, no_dist=processes.alone)
        if processes.peer == 0:
            _write_state(unfinished / f"process-{processes.rank}.pt", state)
    except (OSError, RuntimeError, CheckpointException) as error:
        problem = _describe(error)
    problem = _first_problem(processes, problem)
    if problem is None and processes.first:
        try:
            _finish(
                unfinished, folder, Checkpoint(folder, step, processes.size, torch.get_num_threads(), score, logs or {})
            )
        except OSError as error:
            problem = _describe(error)
    problem = _first_problem(processes, problem)
    if problem is not None and processes.first:
        shutil.rmtree(unfinished, ignore_errors=True)
    return problem


def _finish(unfinished: Path, folder: Path, described: Checkpoint) -> None:
    files = {
        str(file.relative_to(unfinished)): (file.stat().st_size, checksum(file))
        for file in sorted(unfinished.rglob("*"))
        if file.is_file()
    }
    manifest = {**asdict(described), "folder": folder.name, "files": files}
    with (unfinished / MANIFEST).open("w") as file:
        file.write(json.dumps(manifest, indent=1))
        _to_disk(file.fileno())
    if folder.exists():  # it is damaged, or the run would have continued from it
        shutil.rmtree(folder)
    os.rename(unfinished, folder)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        _to_disk(descriptor)
    finally:
        os.close(descriptor)


def _write_state(path: Path, state: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        _to_disk(file.fileno())


def _to_disk(descriptor: int) -> None:
    os.fsync(descriptor)


def _first_problem(processes: Processes, problem: str | None) -> str | None:
    """Returns the problem of any process to all of them."""
    if processes.alone:
        return problem
    problems = [found for found in processes.everybody(problem) if found is not None]
    return problems[0] if problems else None


def _describe(error: BaseException) -> str:
    if isinstance(error, CheckpointException) and error.failures:  # by rank, each with its traceback
        error = next(iter(error.failures.values()))[0]
    deeper: BaseException | None = error
    while deeper is not None and not isinstance(deeper, OSError):
        deeper = deeper.__cause__ or deeper.__context__  # torch's error about its own file hides the cause
    lines = str(deeper or error).strip().splitlines()
    # The error of another process, which sends no more than this.
    if deeper is None and "inline_container" in str(error):
        return f"a file could not be written whole, as on a full disk ({lines[0]})"
    return lines[0] if lines else type(error).__name__
