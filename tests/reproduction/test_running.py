"""Jobs as real processes: side by side, in order, not twice, and ended when they should be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.reproduction.jobs import Job
from cgpo.reproduction.running import Runner, log_of

SCRIPT = """
import json, pathlib, sys, time
overrides = dict(argument.split("=", 1) for argument in sys.argv[2:])
folder = pathlib.Path(overrides["hydra.run.dir"])
print("from the job")
(folder / "started").write_text("")
begin = time.time()
time.sleep(float(overrides.get("sleep", 0)))
if "fails" in overrides:
    sys.exit("it failed")
(folder / "result.json").write_text(json.dumps([begin, time.time()]))
"""


def job(folder: Path, name: str, *overrides: str, after: tuple[Path, ...] = ()) -> Job:
    return Job("module", overrides, folder / name / "seed_0", "result.json", after)


def runner(tmp_path: Path, said: list[str], workers: int = 2) -> Runner:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return Runner(workers, said.append, (sys.executable, str(script)))


def test_jobs_run_side_by_side_and_after_those_they_wait_for(tmp_path: Path) -> None:
    import json

    said: list[str] = []
    first, second = job(tmp_path, "a", "sleep=0.8"), job(tmp_path, "b", "sleep=0.8")
    third = job(tmp_path, "c", after=(first.folder,))
    runner(tmp_path, said).run([first, second, third], tmp_path)
    times = {j: json.loads((j.folder / j.result).read_text()) for j in (first, second, third)}
    assert times[second][0] < times[first][1]
    assert times[third][0] > times[first][1]
    assert log_of(first).read_text() == "from the job\n"
    assert said[0] == "3 runs, 0 of them done already"
    assert said[-1].startswith("[3/3] ")


def test_what_is_done_is_not_repeated(tmp_path: Path) -> None:
    said: list[str] = []
    only = job(tmp_path, "a")
    runner(tmp_path, said).run([only], tmp_path)
    before = (only.folder / only.result).stat().st_mtime_ns
    runner(tmp_path, said).run([only], tmp_path)
    assert (only.folder / only.result).stat().st_mtime_ns == before
    assert said[-1] == "1 runs, 1 of them done already"


def test_a_job_that_fails_ends_alone_and_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    bad, good = job(tmp_path, "bad", "fails=1"), job(tmp_path, "good")
    behind = job(tmp_path, "behind", after=(bad.folder,))
    with pytest.raises(UserError, match=r"1 runs failed, why stands in .*bad/seed_0\.log; 1 that wait"):
        runner(tmp_path, said).run([bad, good, behind], tmp_path)
    assert good.done
    assert not behind.folder.exists()
    assert "it failed" in log_of(bad).read_text()


def test_two_do_not_work_in_one_folder(tmp_path: Path) -> None:
    script = f"""
import sys; from pathlib import Path
from cgpo.reproduction.jobs import Job
from cgpo.reproduction.running import Runner
folder = Path({str(tmp_path)!r})
Runner(1, print, (sys.executable, str(folder / "script.py"))).run(
    [Job("module", ("sleep=30",), folder / "a" / "seed_0", "result.json")], folder
)
"""
    said: list[str] = []
    second = runner(tmp_path, said)
    first = subprocess.Popen([sys.executable, "-c", script])
    started = tmp_path / "a" / "seed_0" / "started"
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # Killed, it leaves its job at work, and the folder stays its own.
    first.send_signal(signal.SIGKILL)
    first.wait()
    try:
        with pytest.raises(UserError, match="runs are being made there by another process"):
            second.run([job(tmp_path, "a", "sleep=30")], tmp_path)
    finally:
        _end_jobs(tmp_path)


def _end_jobs(folder: Path) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder / "script.py").encode() in line:
            os.kill(int(process.name), signal.SIGKILL)
