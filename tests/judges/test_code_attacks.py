"""Programs that try to pass without being right, or to harm the machine: none passes, and the next run is unharmed."""

from collections.abc import Iterator

import pytest

from cgpo.errors import UserError
from cgpo.judges.code import CodeJudge
from cgpo.types import Outcome, Prompt, Sample, Verdict

WRONG = "\ndef add(a, b):\n    return None\n"
ATTACKS = {
    "exit code 0 when loaded": "import os\nos._exit(0)",
    "exit code 0 when called": "import os\ndef add(a, b): os._exit(0)",
    "SystemExit when loaded": "import sys\nsys.exit(0)",
    "SystemExit when called": "def add(a, b): raise SystemExit(0)",
    "KeyboardInterrupt": "def add(a, b): raise KeyboardInterrupt",
    "printed markers": "print('PASS', '.', 'OK', 'f', '[\"done\", 3]', flush=True)" + WRONG,
    "markers on every descriptor": (
        "import os, json, struct\n"
        "for m in (json.dumps(['done', 3, '0' * 32]), json.dumps(['test', None, '0' * 32])):\n"
        "    for fd in range(3, 1024):\n"
        "        try: os.write(fd, struct.pack('<I', len(m)) + m.encode())\n"
        "        except OSError: pass" + WRONG
    ),
    "AssertionError replaced": "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})" + WRONG,
    "builtins replaced": (
        "import builtins\nbuiltins.len = builtins.isinstance = builtins.all = lambda *a: True\n"
        "builtins.exec = builtins.compile = lambda *a, **k: None" + WRONG
    ),
    "equal to everything": (
        "class E:\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
        "    def __bool__(self): return True\ndef add(a, b): return E()"
    ),
    "an integer equal to everything": (
        "class E(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef add(a, b): return E(99)"
    ),
    "a string equal to everything": (
        "class E(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\ndef add(a, b): return E('x')"
    ),
    "a list of objects equal to everything": (
        "class E:\n    def __eq__(self, o): return True\ndef add(a, b): return [E()] * 3"
    ),
    "tests read from frames": (
        "import sys, gc, re\ndef add(a, b):\n    frame = sys._getframe()\n    while frame:\n"
        "        text = repr(frame.f_locals) + repr(frame.f_globals)\n"
        "        found = re.search(r'add\\(%d, %d\\) == (-?\\d+)' % (a, b), text)\n"
        "        if found: return int(found[1])\n        frame = frame.f_back\n"
        "    for o in gc.get_objects():\n"
        "        found = re.search(r'add\\(%d, %d\\) == (-?\\d+)' % (a, b), repr(o)[:9999])\n"
        "        if found: return int(found[1])"
    ),
    "tests read from memory": (
        "import re, os\ndef add(a, b):\n    for pid in filter(str.isdigit, os.listdir('/proc')):\n        try:\n"
        "            maps = open(f'/proc/{pid}/maps').read().splitlines()\n"
        "            memory = open(f'/proc/{pid}/mem', 'rb')\n"
        "        except OSError: continue\n        for line in maps:\n"
        "            low, high = (int(x, 16) for x in line.split()[0].split('-'))\n            try:\n"
        "                memory.seek(low)\n                data = memory.read(high - low)\n"
        "            except (OSError, ValueError, OverflowError): continue\n"
        "            found = re.search(rb'add\\(%d, %d\\) == (-?\\d+)' % (a, b), data)\n"
        "            if found: return int(found[1])"
    ),
    "tests read from descriptors of others": (
        "import os\ndef add(a, b):\n    for pid in filter(str.isdigit, os.listdir('/proc')):\n        try:\n"
        "            for fd in os.listdir(f'/proc/{pid}/fd'):\n"
        "                with open(f'/proc/{pid}/fd/{fd}', 'wb', buffering=0) as f: f.write(b'f' * 10)\n"
        "        except OSError: pass"
    ),
    "everyone traced": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nfor pid in range(1, 200): libc.ptrace(16, pid, 0, 0)" + WRONG
    ),
    "everyone killed": "import os, signal\nos.kill(-1, signal.SIGKILL)" + WRONG,
    "parents killed": (
        "import os, signal\nfor pid in range(1, 400):\n    for s in (2, 15, 9, 10):\n"
        "        if pid != os.getpid():\n            try: os.kill(pid, s)\n            except OSError: pass" + WRONG
    ),
    "everyone stopped": "import os, signal\nos.kill(-1, signal.SIGSTOP)" + WRONG,
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "forks that outlive": (
        "import os, time\nfor i in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)"
        + WRONG
    ),
    "thread bomb": (
        "import threading, time\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    except RuntimeError: pass"
    ),
    "endless loop when loaded": "while True: pass",
    "endless loop when called": "def add(a, b):\n    while True: pass",
    "endless sleep": "import time\ndef add(a, b): time.sleep(1e6)",
    "alarm and signals ignored": (
        "import signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: time.sleep(1)"
    ),
    "huge memory": "x = 'a' * (1 << 40)" + WRONG,
    "memory little by little": "def add(a, b):\n    x = []\n    while True: x.append(bytearray(1 << 20))",
    "huge result": "def add(a, b): return 'x' * (1 << 27)",
    "deep result": "def add(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "result that contains itself": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef add(a, b): return add(a, b)",
    "full disk": (
        "for i in range(100):\n    try:\n        with open(f'/tmp/{i}', 'wb') as f: f.write(b'x' * (1 << 23))\n"
        "    except OSError: break" + WRONG
    ),
    "protocol broken": (
        "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ == 'Link':\n"
        "        for _ in range(9): o.send(['ok', [], []])\n"
        "        o.send(['callback', 0, []])\n        o.send({'a': 1})" + WRONG
    ),
    "answers sent ahead": (
        "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ == 'Link':\n"
        "        for _ in range(99): o.send(['ok', ['p', 0], []])" + WRONG
    ),
    "exceptions named as they like": "def add(a, b): raise type('GoneError', (BaseException,), {})('judge')",
    "tester's builtins shadowed": "def set(*a): return 0\ndef sorted(*a): return 0\ndef abs(*a): return 0" + WRONG,
}
TESTS = ["assert add(1, 2) == 3", "assert set([add(7, 8)]) == {15}", "assert sorted([add(20, 21), 0]) == [0, 41]"]


@pytest.fixture(scope="module")
def judge() -> Iterator[CodeJudge]:
    try:
        judge = CodeJudge(timeout=1.5, memory_mb=256)
    except UserError as error:
        pytest.skip(str(error))
    yield judge
    judge.close()


def ask(judge: CodeJudge, program: str, *tests: str) -> Verdict:
    prompt = Prompt("row", "", metadata={"unit_tests": list(tests)})
    [verdict] = judge.judge([Sample(prompt, f"```python\n{program}\n```")])
    return verdict


@pytest.mark.parametrize("program", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_attack_passes_and_the_next_program_is_judged_as_ever(judge: CodeJudge, program: str) -> None:
    found = ask(judge, program, *TESTS)
    assert found.outcome == Outcome.VIOLATED, found.reason
    assert ask(judge, "def add(a, b): return a + b", *TESTS).outcome == Outcome.SATISFIED


@pytest.mark.parametrize(
    "tried",
    [
        "open('/etc/passwd').read()",
        "open('/etc/shadow').read()",
        "open('/root/.bashrc').read()",
        "__import__('os').listdir('/home')",
        "__import__('os').environ['HOME']",
        "__import__('socket').create_connection(('1.1.1.1', 53), timeout=1)",
        "__import__('socket').create_connection(('127.0.0.1', 22), timeout=1)",
        "open('/usr/lib/x', 'w')",
        "open('/dev/shm/x', 'w')",
        "open('/proc/1/environ').read()",
        "open('/proc/1/mem', 'rb')",
        "__import__('os').mkdir('/x')",
        "__import__('os').setuid(0) or __import__('os').chroot('/tmp')",
        "open('/proc/sys/kernel/core_pattern', 'w')",
        "(lambda answer: answer == 0 or 1 / 0)(__import__('ctypes').CDLL(None).unshare(0x10000000))",
    ],
)
def test_what_lies_outside_cannot_be_reached(judge: CodeJudge, tried: str) -> None:
    found = ask(judge, f"def f():\n    {tried}\n    return True", "assert f() is True")
    assert found.outcome == Outcome.VIOLATED
    assert "Error" in found.reason


def test_files_of_a_run_are_gone_in_the_next(judge: CodeJudge) -> None:
    write = (
        "import os\nos.makedirs('/tmp/a/b')\nopen('/tmp/a/b/c', 'w').write('1')\nopen('/tmp/json.py', 'w').write('1')\n"
        "os.chmod('/tmp/a', 0)\ndef f(): return os.listdir('/tmp')"
    )
    assert ask(judge, write, "assert sorted(f()) == ['a', 'json.py']").outcome == Outcome.SATISFIED
    look = "import os\ndef f(): return os.listdir('/tmp')"
    for _ in range(4):
        assert ask(judge, look, "assert f() == []").outcome == Outcome.SATISFIED


def test_threads_are_allowed(judge: CodeJudge) -> None:
    program = (
        "from concurrent.futures import ThreadPoolExecutor\ndef f():\n"
        "    with ThreadPoolExecutor(4) as e: return list(e.map(str, range(3)))"
    )
    assert ask(judge, program, "assert f() == ['0', '1', '2']").outcome == Outcome.SATISFIED


def test_reasons_name_the_limit(judge: CodeJudge) -> None:
    assert ask(judge, ATTACKS["endless loop when called"], *TESTS).reason == (
        "0 of 3 tests passed; test 1: no result after 1.5 seconds"
    )
    assert "MemoryError" in ask(judge, ATTACKS["memory little by little"], *TESTS).reason
    assert ask(judge, ATTACKS["exit code 0 when called"], *TESTS).reason == (
        "0 of 3 tests passed; test 1: the program ended or broke the protocol"
    )
    assert ask(judge, ATTACKS["everyone killed"], *TESTS).reason == "0 of 3 tests passed; the program ended the test"
