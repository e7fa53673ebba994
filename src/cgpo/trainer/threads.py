"""How many threads a CPU run uses: tiny models are several times faster with one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch


def fastest_threads(work: Callable[[], object], most: int | None = None, repeats: int = 2) -> int:
    """Runs some work with 1, 2, 4, … threads and keeps the fastest number set.

    Args:
        work: a small piece of what the run will do.
        most: the most threads to try; by default the cores this process may use.
        repeats: runs of which the fastest counts, after one to warm up.

    Returns:
        The number of threads that is now set.
    """
    most = most or len(os.sched_getaffinity(0))
    choices = [2**i for i in range(most.bit_length()) if 2**i <= most]
    if most not in choices:
        choices.append(most)
    seconds = {threads: _seconds(work, threads, repeats) for threads in choices}
    best = min(seconds, key=lambda threads: seconds[threads])
    torch.set_num_threads(best)
    return best


def _seconds(work: Callable[[], object], threads: int, repeats: int) -> float:
    torch.set_num_threads(threads)
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
