"""Runs the module by Lightning's trainer, with loggers and callbacks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import Logger

from cgpo.distributed.rendezvous import Rendezvous, find_rendezvous
from cgpo.models.pretrained import is_on_meta_device
from cgpo.policy.causal import CausalPolicy
from cgpo.progress import bar
from cgpo.tasks.expert import Expert
from cgpo.training.callbacks.progress import ProgressBar
from cgpo.training.hardware import Hardware
from cgpo.training.module import CGPOModule
from cgpo.training.steps import Steps


def fastest_threads(
    work: Callable[[], object],
    most: int | None = None,
    repeats: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Runs some work with 1, 2, 4, … threads and keeps the fastest number set.

    Args:
        work: a small piece of what the run will do.
        most: the most threads to try; by default the number of cores that this process may use.
        repeats: the number of runs of which the fastest counts, after one to warm up.
        clock: returns the time in seconds.

    Returns:
        The number of threads that is now set.
    """
    most = most or len(os.sched_getaffinity(0))
    choices = [2**i for i in range(most.bit_length()) if 2**i <= most]
    if most not in choices:
        choices.append(most)
    seconds = {threads: _seconds(work, threads, repeats, clock) for threads in choices}
    best = min(seconds, key=lambda threads: seconds[threads])
    torch.set_num_threads(best)
    return best


def _seconds(work: Callable[[], object], threads: int, repeats: int, clock: Callable[[], float]) -> float:
    torch.set_num_threads(threads)
    work()
    times: list[float] = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def fit(
    module: CGPOModule,
    updates: int,
    hardware: Hardware,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    done: int = 0,
) -> Trainer:
    """Trains for a number of updates.

    Args:
        module: what is trained.
        updates: the number of updates.
        hardware: the hardware that it is trained on.
        callbacks: the callbacks that watch.
        loggers: where metrics go.
        done: the number of updates that were done before.
    """
    trainer = hardware.trainer(
        find_rendezvous() or (None if hardware.strategy == "single" else Rendezvous()),
        max_steps=updates,
        max_epochs=1,
        logger=list(loggers),
        # The first one comes before the evaluation, which takes its time.
        callbacks=[_KeepsSignalHandler(), *callbacks, ProgressBar()],
        # Without this Lightning would add a checkpoint callback of its own.
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        enable_progress_bar=False,  # `ProgressBar` goes where all lines go
        log_every_n_steps=1,
    )
    trainer.fit(module, Steps(module.experts, updates, module.seed).loader(done))
    return trainer


def choose_threads(
    setting: int | str, policy: CausalPolicy, expert: Expert, device: str = "cpu", processes: int = 1
) -> int:
    """Sets torch's threads: a number, or `auto` to measure a small rollout on a CPU, or to divide its cores.

    Args:
        setting: a number or `auto`.
        policy: the policy whose rollout is measured.
        expert: the task that it is measured on.
        device: the device that the run will use; nothing is measured for a GPU.
        processes: the number of processes of this machine.

    Returns:
        The number of threads that is now set.
    """
    if setting == "auto" and (processes > 1 or is_on_meta_device(policy.model)):
        setting = max(1, len(os.sched_getaffinity(0)) // processes)
    if setting != "auto":
        torch.set_num_threads(int(setting))
        return int(setting)
    if device != "cpu":
        return torch.get_num_threads()
    prompts = expert.prompts[: expert.batch_size]

    def work() -> None:
        rollout = expert.sampler.sample(policy, prompts, expert.responses_per_prompt, 0)
        expert.reward.score(rollout.samples)

    with bar("measuring how many threads are fastest", None):
        return fastest_threads(work)


class _KeepsSignalHandler(Callback):
    """Restores the handler of SIGTERM that Lightning replaces.

    Lightning's handler sends the other processes a message in the middle of whatever they are exchanging, so that they
    hang for ever, and only SIGKILL ends them.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
