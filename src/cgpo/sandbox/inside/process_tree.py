"""Limits the processes of a run, measures their memory, ends them, and wipes their files."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from typing import Any

_MOST_ENTRIES = 1000


def limit(limits: dict[str, Any]) -> None:
    """Sets the limits of a process of a run."""
    for name, value in [
        ("CPU", int(limits["seconds"]) + 1),
        ("AS", limits["bytes"]),
        ("FSIZE", 1 << 24),
        ("NOFILE", 64),
        ("NPROC", limits["processes"]),
        ("CORE", 0),
        ("MEMLOCK", 0),
        ("MSGQUEUE", 0),
    ]:
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def close_all_but(*kept: int) -> None:
    """Closes every file descriptor above 2 except some."""
    last = 2
    for fd in sorted(kept):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, 1024)


def memory(limits: dict[str, Any]) -> int:
    """Returns the bytes that the processes of a run use together, including the files in their folder.

    A page that forked processes share counts for each of them.
    """
    kilobytes = 0
    for pid in _others(limits["alone"]):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as status:
            for line in status:
                if line.startswith((b"RssAnon:", b"RssShmem:")):
                    kilobytes += int(line.split()[1])
    files = os.statvfs(limits["folder"])
    return (kilobytes << 10) + ((files.f_blocks - files.f_bfree) * files.f_frsize if limits["alone"] else 0)


def kill_everything(alone: bool) -> None:
    """Kills every process of the run, and waits for the last one.

    Args:
        alone: whether this process is number 1 of its namespace, so that every other process belongs to the run.
            Otherwise its descendants do.
    """
    while True:
        if alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        else:
            for pid in _others(alone):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def wiped(folder: str) -> bool:
    """Empties a folder; returns `False` if it contains too much or resists, so that a new sandbox is made."""
    entries = 0
    try:
        for parent, folders, names in os.walk(folder, topdown=True):
            entries += len(folders) + len(names)
            if entries > _MOST_ENTRIES:
                return False
            for name in folders:
                path = os.path.join(parent, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    except (OSError, RecursionError):
        return False
    return not os.listdir(folder)


def _others(alone: bool) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    return pids if alone else _descendants(pids)


def _descendants(pids: list[int]) -> list[int]:
    parents: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as stat:
            parents[pid] = int(stat.read().rpartition(b")")[2].split()[1])
    found = [os.getpid()]
    while added := [pid for pid, parent in parents.items() if parent in found and pid not in found]:
        found += added
    return found[1:]
