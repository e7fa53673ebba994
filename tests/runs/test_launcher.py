"""What a supervisor makes of the ends of its processes; the command itself is tested end to end."""

import subprocess
import sys

import pytest

from cgpo.runs.launcher import _wait


def ended(*codes: str) -> list[subprocess.Popen[bytes]]:
    """Processes that have all ended."""
    started = [subprocess.Popen([sys.executable, "-c", f"import os, sys; {code}"]) for code in codes]
    for process in started:
        process.wait(60)
    return started


FINE, WRONG, KILLED = "sys.exit(0)", "sys.exit(3)", "os.kill(os.getpid(), 9)"


@pytest.mark.parametrize(
    ("codes", "status"), [((FINE, FINE), None), ((FINE, WRONG), 3), ((WRONG, WRONG), 3), ((KILLED, WRONG), 137)]
)
def test_processes_that_fail_at_once_have_failed(codes: tuple[str, ...], status: int | None) -> None:
    assert _wait(ended(*codes), []) == status


def test_who_was_ended_by_a_signal_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    _wait(ended(FINE, KILLED), [])
    assert capfd.readouterr().err == "error: process 1 of 2 was ended by SIGKILL\n"


def test_signals_reach_every_process() -> None:
    sleeping = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)]
    try:
        assert _wait(sleeping, [15]) == 128 + 15
        assert [process.returncode for process in sleeping] == [-15, -15]
    finally:
        for process in sleeping:
            process.kill()
            process.wait()
