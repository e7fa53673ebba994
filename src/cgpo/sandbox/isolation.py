"""Shuts a Python off from the machine before it runs a program that a model wrote.

Inside bubblewrap there is no network, no file but a read-only Python and a private `/tmp`, no environment, no
capability, no process of the host, and no way to a new user namespace. Root first becomes uid 65534; an ordinary user
keeps its identity, in a namespace of its own. If the machine cannot do that, the judge refuses to run. The option that
runs programs without isolation has to be spelled out in full, and warns whenever it is used.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cgpo.errors import UserError

BUBBLEWRAP = "bubblewrap"
NONE = "none_i_accept_the_risk"
_NOBODY = 65534
_PROBE_SECONDS = 20.0
_PROBE = "import sys; sys.exit(0 if sys.version_info >= (3, 9) else 'Python is too old')"
_OPTIONS = ["-s", "-S", "-B"]
_LOGGER = logging.getLogger(__name__)


def isolated_python(isolation: str = BUBBLEWRAP) -> list[str]:
    """Returns the command, up to Python's own arguments, that starts an isolated Python 3.9 or later.

    For root it is a Python that an ordinary user may read.

    Args:
        isolation: `bubblewrap` or `none_i_accept_the_risk`.

    Raises:
        UserError: there is no such Python or isolation, or the machine lacks what isolation needs.
    """
    if isolation == NONE:
        _LOGGER.warning(
            "PROGRAMS THAT A MODEL WROTE RUN WITHOUT ISOLATION on this machine (judges.code.isolation=%s): they can "
            "read your files, reach your processes and the network",
            NONE,
        )
        return _unisolated_python()
    if isolation != BUBBLEWRAP:
        raise UserError(f"code judge: isolation {isolation!r} is none of {BUBBLEWRAP}, {NONE}")
    for tool, package in (("bwrap", "bubblewrap"), ("setpriv", "util-linux")):
        if shutil.which(tool) is None and (tool == "bwrap" or os.geteuid() == 0):
            raise UserError(f"the code judge needs {tool} to isolate programs: apt-get install {package}")
    problem = ""
    for python in _pythons():
        command = [*_as_nobody(), *_bubblewrap(python), python, *_OPTIONS]
        problem = _problem(command)
        if not problem:
            return command
    raise UserError(
        f"the code judge cannot isolate programs here ({problem}): it needs bubblewrap 0.8 or later, user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 kernel.apparmor_restrict_unprivileged_userns=0; "
        "in Docker --security-opt seccomp=unconfined) and, as root, a Python that all may read (/usr/bin/python3)"
    )


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """Makes a folder for programs that run without isolation, removed with the object; root gives it to uid 65534."""
    folder = tempfile.TemporaryDirectory(prefix="cgpo-code-", ignore_cleanup_errors=True)
    if os.geteuid() == 0:
        os.chown(folder.name, _NOBODY, _NOBODY)
    return folder


def _unisolated_python() -> list[str]:
    for python in _pythons():
        command = [*_as_nobody(), python, *_OPTIONS]
        if shutil.which(command[0]) and not _problem(command):
            return command
    return [sys.executable, *_OPTIONS]


def _pythons() -> list[str]:
    found = map(os.path.realpath, (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"))
    return [python for python in dict.fromkeys(found) if os.path.exists(python)]


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]


def _problem(command: list[str]) -> str:
    """Returns why a Python does not start, in one line; an empty text if it does."""
    try:
        tried = subprocess.run(
            [*command, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == 0:
        return ""
    return (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]


def _bubblewrap(python: str) -> list[str]:
    command = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    command += ["--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    prefix = Path(python).parent.parent
    if not str(prefix).startswith("/usr"):  # never the whole prefix: it might be somebody's home
        for name in ("bin", "lib", "lib64"):
            command += ["--ro-bind-try", str(prefix / name), str(prefix / name)]
    command += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--size", str(64 << 20), "--tmpfs", "/tmp"]
    command += ["--remount-ro", "/"]
    return [*command, "--chdir", "/tmp", "--setenv", "PATH", "/usr/bin", "--setenv", "PYTHONHASHSEED", "0"]
