"""What the sandbox promises from run to run: nothing survives, nobody is seen, and who is killed is replaced."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.sandbox.attacks import ATTACKS, RIGHT, TESTS

import cgpo
from cgpo.errors import UserError
from cgpo.judges.code import CodeJudge
from cgpo.sandbox.isolation import NONE
from cgpo.sandbox.sandbox import Report, Sandbox
from cgpo.sandbox.sandbox import Tests as Against
from cgpo.types import Outcome, Prompt, Sample

UIDS = (65534, 1000)
ORDINARY = Path(__file__).with_name("ordinary_user.py")


@pytest.fixture
def sandboxes() -> Iterator[list[Sandbox]]:
    try:
        pair = [Sandbox(timeout=5.0, memory_mb=256) for _ in range(2)]
    except UserError as error:
        pytest.skip(str(error))
    yield pair
    for sandbox in pair:
        sandbox.close()


def passes(report: Report) -> bool:
    return report.complete and all(problem is None for problem in report.problems)


LEAVE = """
import ctypes, os, signal, socket, threading, time
def leave():
    os.makedirs('/tmp/a/b')
    open('/tmp/json.py', 'w').write('1 / 0')
    open('/tmp/a/b/c', 'w').close()
    os.chmod('/tmp/a', 0)
    os.umask(0)
    libc = ctypes.CDLL(None)
    libc.shmget(7, 1 << 20, 0o1666), libc.mq_open(b'/left', 0o102, 0o666, None)
    libc.syscall(248, b'user', b'left', b'secret', 6, -4)
    for call in (lambda: os.nice(19), lambda: os.setpriority(os.PRIO_USER, 0, 19)):
        try: call()
        except OSError: pass
    for fork in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork(): os._exit(0)
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            server = socket.socket(socket.AF_UNIX)
            try: server.bind('\\0left'), server.listen()
            except OSError: pass
            while True: time.sleep(1)
    return sorted(os.listdir('/tmp'))
"""
LOOK = """
import ctypes, os, socket
def look():
    libc = ctypes.CDLL(None)
    client = socket.socket(socket.AF_UNIX)
    return {
        'files': os.listdir('/tmp'), 'folder': os.getcwd(),
        'processes': sorted(int(name) for name in os.listdir('/proc') if name.isdigit())[:1],
        'others': sum(name.isdigit() for name in os.listdir('/proc')),
        'umask': os.umask(0o22), 'priority': os.getpriority(os.PRIO_PROCESS, 0),
        'first': os.getpriority(os.PRIO_PROCESS, 1),
        'memory': libc.shmget(7, 1 << 20, 0o666), 'socket': client.connect_ex('\\0left'),
        'environment': sorted(set(os.environ) - {'PATH', 'PYTHONHASHSEED', 'PWD', 'LC_CTYPE'}),
    }
"""


def test_nothing_of_a_run_is_there_in_the_next(sandboxes: list[Sandbox]) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)  # not 0 where the tests run under `nice`
    clean = (
        "{'files': [], 'folder': '/tmp', 'processes': [1], 'others': 3, 'umask': 0o22,"
        f" 'priority': {own}, 'first': {own}, 'memory': -1, 'socket': 111, 'environment': []}}"
    )
    for _ in range(2):
        assert sandboxes[0].run(LOOK, Against((f"assert look() == {clean}",))).problems == (None,)
        assert sandboxes[0].run(LEAVE, Against(("assert leave() == ['a', 'json.py']",))).problems == (None,)
    assert sandboxes[0].run(LOOK, Against((f"assert look() == {clean}",))).problems == (None,)


def test_runs_at_the_same_time_do_not_see_each_other(sandboxes: list[Sandbox]) -> None:
    stay = LEAVE + "\ndef stay():\n    leave()\n    time.sleep(0.6)\n    return True"
    look = LOOK + "\nimport time\ndef wait():\n    time.sleep(0.3)\n    seen = look()\n"
    look += "    return [seen[name] for name in ('files', 'others', 'memory', 'socket')]"
    with ThreadPoolExecutor(2) as threads:
        staying = threads.submit(sandboxes[0].run, stay, Against(("assert stay()",)))
        looking = threads.submit(sandboxes[1].run, look, Against(("assert wait() == [[], 3, -1, 111]",)))
    assert staying.result().problems == (None,)
    assert looking.result().problems == (None,)


def bubblewraps() -> list[int]:
    """The bubblewrap processes that this process started."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        if "(bwrap)" in stat and int(stat.rpartition(")")[2].split()[1]) == os.getpid():
            found.append(int(pid))
    return found


def test_a_worker_killed_from_outside_is_replaced_without_losing_a_verdict() -> None:
    try:
        judge = CodeJudge(timeout=5.0, workers=2)
    except UserError as error:
        pytest.skip(str(error))
    prompt = Prompt("row", "", metadata={"unit_tests": ["assert f() == 1"]})
    slow = "```python\nimport time\ndef f():\n    time.sleep(0.3)\n    return {}\n```"
    samples = [Sample(prompt, slow.format(i % 2)) for i in range(6)]
    with ThreadPoolExecutor(1) as threads:
        judging = threads.submit(judge.judge, samples)
        time.sleep(0.15)
        killed = bubblewraps()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        found = judging.result()
    judge.close()
    assert len(killed) >= 2
    assert [verdict.outcome == Outcome.SATISFIED for verdict in found] == [i % 2 == 1 for i in range(6)]
    assert all(verdict.outcome != Outcome.UNDECIDED for verdict in found)


def test_without_isolation_it_warns_at_each_start_and_tests_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        # Many processes: without isolation those of other tests, which run at the same time, count too.
        sandbox = Sandbox(timeout=1.0, memory_mb=256, processes=1000, isolation=NONE)
        Sandbox(isolation=NONE).close()
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "WITHOUT ISOLATION" in warnings[0]
    assert "isolation=none_i_accept_the_risk" in warnings[0]
    tests = Against(tuple(TESTS))
    folder = Path(sandbox._limits["folder"])  # pyright: ignore
    for name in ("exit code 0 when called", "equal to everything", "tests read from frames", "tests read from memory"):
        assert not passes(sandbox.run(ATTACKS[name], tests))
        assert passes(sandbox.run(RIGHT, tests))
    leave = "import os, time\ndef f():\n    open('left', 'w').close()\n    if os.fork() == 0:\n        os.setsid()\n"
    leave += "        time.sleep(600)\n        os._exit(0)\n    return os.getcwd()"
    assert sandbox.run(leave, Against((f"assert f() == {str(folder)!r}",))).problems == (None,)
    assert list(folder.iterdir()) == []
    assert sandbox.run("while True: pass", tests).timed_out
    sandbox.close()
    assert not folder.exists()


def test_another_isolation_is_the_users_to_know() -> None:
    with pytest.raises(UserError, match="isolation 'none' is none of bubblewrap, none_i_accept_the_risk"):
        Sandbox(isolation="none")


@pytest.mark.parametrize("uid", UIDS)
def test_the_panel_holds_for_an_ordinary_user(uid: int) -> None:
    """Another process of that user, with a copy of the sandbox, runs the attacks; it needs no more than Python."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, with setpriv")
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        package = Path(folder, "cgpo")
        source = Path(cgpo.__file__).parent
        shutil.copytree(source / "sandbox", package / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        (package / "__init__.py").touch()
        shutil.copy(source / "errors.py", package)
        for script in (ORDINARY, ORDINARY.with_name("attacks.py")):
            shutil.copy(script, folder)
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
            wanted = [*become, python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(wanted, capture_output=True, cwd=folder).returncode == 0:
                break
        else:
            pytest.skip(f"uid {uid} can read no Python 3.11 here")
        run = subprocess.run(
            [*become, python, "ordinary_user.py", "some" if uid != UIDS[0] else "all"],
            capture_output=True,
            text=True,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "SECRET": "x"},
        )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    if answer["refused"] is not None:
        pytest.skip(answer["refused"])
    assert answer["uid"] == uid
    assert answer["passed"] == []
    assert answer["harmed"] == []
    assert answer["run"] >= (60 if uid == UIDS[0] else 30)
