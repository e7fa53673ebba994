"""Runs jobs as processes, several at a time; finished jobs are not repeated."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cgpo.errors import UserError
from cgpo.reproduction.jobs import Job, check_unchanged, prepare

Announce = Callable[[str], None]


class Runner:
    """Runs jobs as processes, on one thread each.

    Args:
        workers: the number of processes at a time.
        announce: gets a line about each job that ends, and how long it took.
        command: the command that a job's arguments are appended to.
    """

    def __init__(self, workers: int, announce: Announce, command: Sequence[str]) -> None:
        self._workers = workers
        self._announce = announce
        self._command = tuple(command)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, jobs: Sequence[Job], folder: Path) -> None:
        """Runs the jobs that are not done yet; a job that fails stops only those that wait for it.

        Args:
            jobs: the jobs, each after those that it waits for.
            folder: the folder of all of them.

        Raises:
            UserError: a folder has the run of another command, another process is at work in `folder`, or, once all
                others have ended, a job failed.
        """
        check_unchanged(jobs)
        with _locked(folder) as self._lock:
            self._run(jobs)

    def _run(self, jobs: Sequence[Job]) -> None:
        waiting = [job for job in jobs if not job.done]
        self._announce(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them done already")
        failed: list[Job] = []
        running: dict[Future[float], Job] = {}
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                while waiting or running:
                    done = {job.folder for job in jobs if job.done}
                    ready = [job for job in waiting if done.issuperset(job.after)]
                    for job in ready[: self._workers - len(running)]:
                        waiting.remove(job)
                        running[pool.submit(self._one, job)] = job
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        job = running.pop(future)
                        self._say(job, future.result(), jobs)
                        if not job.done:
                            failed.append(job)
            except BaseException:
                self._stop()
                raise
        if failed:
            raise UserError(_complaint(failed, waiting))

    def _one(self, job: Job) -> float:
        """Runs a job and returns the seconds that it took."""
        prepare(job)
        start = time.perf_counter()
        # Appending keeps the lines of an earlier attempt.
        with log_of(job).open("ab") as log:
            if self._stopped:
                return 0.0
            process = subprocess.Popen(
                [*self._command, *job.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
                start_new_session=True,
                # The job keeps the folder locked even if this process is killed.
                pass_fds=[self._lock.fileno()],
            )
            self._running.add(process)
            process.wait()
            self._running.discard(process)
        return time.perf_counter() - start

    def _stop(self) -> None:
        self._stopped = True
        for process in list(self._running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

    def _say(self, job: Job, seconds: float, jobs: Sequence[Job]) -> None:
        ended = sum(other.done for other in jobs)
        how = f"{seconds:.0f} s" if job.done else f"failed, see {log_of(job)}"
        self._announce(f"[{ended}/{len(jobs)}] {job.folder.parent.name} {job.folder.name}: {how}")


@contextmanager
def _locked(folder: Path) -> Generator[IO[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder}: runs are being made there by another process; wait for it, or end it"
            ) from error
        yield file


def log_of(job: Job) -> Path:
    """Returns the file with the output of a job."""
    return job.folder.with_name(f"{job.folder.name}.log")


def _complaint(failed: Sequence[Job], waiting: Sequence[Job]) -> str:
    logs = ", ".join(str(log_of(job)) for job in failed)
    after = f"; {len(waiting)} that wait for them were not begun" if waiting else ""
    return f"{len(failed)} runs failed, why stands in {logs}{after}; the same command makes those that are missing"
