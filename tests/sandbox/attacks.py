"""Programs that try to pass without being right, or to harm the machine. Read by an ordinary user's Python, too."""

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
    # ---- ends of the process
    "aborted": "import os\ndef add(a, b): os.abort()",
    "segmentation fault": "import ctypes\ndef add(a, b): ctypes.string_at(0)",
    "another program in its place": "import os\ndef add(a, b): os.execv('/usr/bin/true', ['true'])",
    "exit in a thread": (
        "import os, threading\nthreading.Thread(target=os._exit, args=(0,)).start()\nimport time\ntime.sleep(0.1)"
        + WRONG
    ),
    "exit functions": "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)",
    "stopped for ever": "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGSTOP)",
    "alarm": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\ndef add(a, b):\n    while True: pass",
    # ---- values
    "a float equal to everything": (
        "class E(float):\n    def __eq__(self, o): return True\n    __hash__ = float.__hash__\n"
        "def add(a, b): return E(9)"
    ),
    "a hash that changes": (
        "import itertools\nhashes = itertools.count()\nclass E(int):\n    def __hash__(self): return next(hashes)\n"
        "    def __eq__(self, o): return True\ndef add(a, b): return E(0)"
    ),
    "a lazy object": (
        "class E:\n    def __getattr__(self, name): return lambda *a, **k: True\n"
        "    def __len__(self): return 3\n    def __getitem__(self, i): return 3\n    def __bool__(self): return True\n"
        "    def __int__(self): return 3\n    __index__ = __int__\ndef add(a, b): return E()"
    ),
    "a metaclass equal to everything": (
        "class M(type):\n    def __eq__(self, o): return True\n    def __hash__(self): return 0\n"
        "    def __instancecheck__(self, o): return True\nclass E(metaclass=M): pass\ndef add(a, b): return E"
    ),
    "a class that claims to be an integer": (
        "class E:\n    __class__ = int\n    def __eq__(self, o): return True\ndef add(a, b): return E()"
    ),
    "not a number": "def add(a, b): return float('nan')",
    "a decimal that signals": "import decimal\ndef add(a, b): return decimal.Decimal('sNaN')",
    "an enormous decimal": "import decimal\ndef add(a, b): return decimal.Decimal('1e999999999')",
    "an enormous integer": "def add(a, b): return 1 << (1 << 26)",
    "an endless generator": "def add(a, b):\n    while True: yield 3",
    "an endless list": (
        "class E(list):\n    def __iter__(self):\n        while True: yield 3\ndef add(a, b): return E()"
    ),
    "an exception whose text fails": (
        "class E(Exception):\n    def __str__(self): raise SystemExit(0)\ndef add(a, b): raise E"
    ),
    "an exception with a huge text": "def add(a, b): raise ValueError('x' * (1 << 27))",
    "an exception named as the judge's": "def add(a, b): raise type('UnsendableError', (Exception,), {})('judge')",
    "an exception with an odd name": "def add(a, b): raise type('\\0', (Exception,), {})",
    # ---- the link to the tester
    "the link's code replaced": (
        "import sys\nwire = sys.modules['cgpo.sandbox.inside.messages']\n"
        "wire.encode = lambda value, refer: 3\nwire.json.dumps = lambda m: '[\"ok\", 3, []]'\n"
        "sys.modules['cgpo.sandbox.inside.program'].encode = wire.encode" + WRONG
    ),
    "the tester's code replaced in the program's process": (
        "import sys\nt = sys.modules['cgpo.sandbox.inside.tester']\nt._problem = lambda *a: None\n"
        "t.run = lambda link, report, work: report.send(['done', 3, work['nonce']])" + WRONG
    ),
    "the link closed": "import os\nos.closerange(0, 1024)" + WRONG,
    "the link doubled": ("import os\nfor fd in range(64):\n    try: os.dup2(3, fd)\n    except OSError: pass" + WRONG),
    "two processes on one link": "import os\nos.fork()" + WRONG,
    "a thread that answers too": (
        "import gc, threading, time\n[link] = [o for o in gc.get_objects() if type(o).__name__ == 'Link']\n"
        "def speak():\n    while True:\n        time.sleep(0.001)\n        link.send(['ok', 3, []])\n"
        "threading.Thread(target=speak, daemon=True).start()\ntime.sleep(0.01)" + WRONG
    ),
    **{
        f"a frame of {name}": (
            "import gc, os, struct\n[link] = [o for o in gc.get_objects() if type(o).__name__ == 'Link']\n"
            f"data = {data}\ndef add(a, b):\n    left = struct.pack('<I', len(data)) + data\n"
            "    while left: left = left[os.write(link.write_fd, left):]"
        )
        for name, data in {
            "deep nesting": "b'[' * 1_000_000",
            "closed deep nesting": "b'[\"ok\",' + b'[\"l\",' * 100_000 + b'1' + b']' * 100_000 + b',[]]'",
            "many empty lists": "b'[\"ok\",[' + b'[],' * 9_000_000 + b'1],[]]'",
            "a long number": "b'[\"ok\",' + b'9' * 9_000_000 + b',[]]'",
            "nothing": "b''",
            "no JSON": "b'\\xff\\x00'",
            "NaN": "b'[\"ok\",NaN,[]]'",
            "an unknown tag": 'b\'["ok",["?",1],[]]\'',
            "an object": 'b\'["ok",{"a":1},[]]\'',
            "a set of lists": 'b\'["ok",["s",["l",1]],[]]\'',
            "a fraction over nothing": 'b\'["ok",["F","0x1","0x0"],[]]\'',
            "an unknown reference": 'b\'["ok",["x",99],[]]\'',
            "a negative reference": 'b\'["ok",["x",-1],[]]\'',
            "a truth for a reference": 'b\'["ok",["p",true],[]]\'',
            "an unknown callback": "b'[\"callback\",0,[]]'",
            "an error without a kind": 'b\'["error",[],""]\'',
            "an error of no kind": 'b\'["error",7,""]\'',
            "another number of parts": "b'[\"ok\"]'",
        }.items()
    },
    "a frame without an end": (
        "import gc, os\n[link] = [o for o in gc.get_objects() if type(o).__name__ == 'Link']\n"
        "def add(a, b): os.write(link.write_fd, b'\\xff\\xff\\xff\\xff1')"
    ),
    # ---- the others
    "memory of others read by system calls": (
        "import ctypes, os, re\nlibc = ctypes.CDLL(None)\nbuffer = ctypes.create_string_buffer(1 << 16)\n"
        "class V(ctypes.Structure): _fields_ = [('p', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
        "def add(a, b):\n    for pid in range(1, 50):\n"
        "        for line in open('/proc/self/maps'):\n            low = int(line.split('-')[0], 16)\n"
        "            mine, theirs = V(ctypes.addressof(buffer), 1 << 16), V(low, 1 << 16)\n"
        "            if pid != os.getpid() and libc.process_vm_readv(\n"
        "                pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) > 0:\n"
        "                found = re.search(rb'add\\(%d, %d\\) == (-?\\d+)' % (a, b), buffer.raw)\n"
        "                if found: return int(found[1])"
    ),
    "descriptors of others taken": (
        "import ctypes, os, json, struct\nlibc = ctypes.CDLL(None)\n"
        "for pid in range(1, 50):\n    try: p = os.pidfd_open(pid)\n"
        "    except OSError: continue\n    for fd in range(3, 20):\n        got = libc.syscall(438, p, fd, 0)\n"
        "        if got > 0 and pid != os.getpid(): os.write(got, b'f' * 99)" + WRONG
    ),
    "limits of others": (
        "import ctypes\nlibc = ctypes.CDLL(None)\npair = (ctypes.c_ulong * 2)(0, 0)\n"
        "for pid in range(1, 50):\n    for kind in range(16): libc.prlimit(pid, kind, pair, None)" + WRONG
    ),
    "others slowed down": (
        "import os\nfor pid in range(1, 50):\n    for call in (\n"
        "        lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),\n"
        "        lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),\n"
        "        lambda: os.sched_setaffinity(pid, {0})):\n        try: call()\n        except OSError: pass" + WRONG
    ),
    "every signal to everyone": (
        "import os, signal\nfor pid in range(1, 50):\n    for number in range(1, 65):\n"
        "        if pid != os.getpid():\n            try: os.kill(pid, number)\n            except OSError: pass"
        + WRONG
    ),
    # ---- resources
    "memory of many processes": (
        "import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n        kept = bytearray(b'x') * (100 << 20)\n"
        "        time.sleep(600)\ntime.sleep(600)"
    ),
    "memory shared by many": (
        "import mmap, os, time\nfor _ in range(12):\n    if os.fork() == 0:\n"
        "        kept = mmap.mmap(-1, 100 << 20)\n        kept.write(b'x' * (100 << 20))\n        time.sleep(600)\n"
        "time.sleep(600)"
    ),
    "endless printing": "while True: print('x' * 100_000)",
    "endless errors": "import sys\nwhile True: print('x' * 100_000, file=sys.stderr)",
    "many files": "for i in range(20_000): open(f'/tmp/{i}', 'w').close()" + WRONG,
    "folder in folder in folder": ("import os\nfor i in range(3_000):\n    os.mkdir('d')\n    os.chdir('d')" + WRONG),
    "links to everywhere": (
        "import os\nos.symlink('/', '/tmp/root')\nos.symlink('/tmp', '/tmp/again')\nos.mkfifo('/tmp/fifo')" + WRONG
    ),
    "a file larger than the disk": "open('/tmp/x', 'wb').truncate(1 << 40)" + WRONG,
    "all descriptors": "import os\nkept = []\nwhile True: kept.append(os.open('/dev/null', 0))",
    "full pipes": (
        "import fcntl, os\nfor _ in range(25):\n    r, w = os.pipe()\n    os.set_blocking(w, False)\n"
        "    fcntl.fcntl(w, 1031, 1 << 20)\n    os.write(w, b'x' * (1 << 20))" + WRONG
    ),
    "a power without an end": "def add(a, b): return 10 ** 10 ** 10",
    "a pattern without an end": "import re\ndef add(a, b): return re.match('(a+)+$', 'a' * 64 + 'b')",
    "a source that the compiler cannot read": "x = " + "-" * 50_000 + "1" + WRONG,
    "a source of many sums": "x = " + "+".join(["1"] * 50_000) + WRONG,
    "source in source": "source = 'pass'\nfor _ in range(60): source = f'exec({source!r})'[:1 << 24]\nexec(source)"
    + WRONG,
}

TESTS = ["assert add(1, 2) == 3", "assert set([add(7, 8)]) == {15}", "assert sorted([add(20, 21), 0]) == [0, 41]"]
RIGHT = "def add(a, b): return a + b"

REACHES = {
    "a file of the host": "open('/etc/passwd').read()",
    "a secret of the host": "open('/etc/shadow').read()",
    "a home": "open('/root/.bashrc').read()",
    "the homes": "__import__('os').listdir('/home')",
    "the environment": "__import__('os').environ['HOME']",
    "the environment of others": "open('/proc/1/environ').read()",
    "memory of others": "open('/proc/1/mem', 'rb')",
    "descriptors of others": "__import__('os').listdir('/proc/1/fd')",
    "a system folder": "open('/usr/lib/x', 'w')",
    "shared memory": "open('/dev/shm/x', 'w')",
    "the root folder": "__import__('os').mkdir('/x')",
    "another user": "__import__('os').setuid(0) or __import__('os').chroot('/tmp')",
    "the kernel's settings": "open('/proc/sys/kernel/core_pattern', 'w')",
    "the kernel's triggers": "open('/proc/sysrq-trigger', 'w')",
    "the terminal": "open('/dev/tty', 'w')",
    "a disk": "__import__('os').mknod('/tmp/disk', 0o60600, 0x800)",
    "control groups": "__import__('os').listdir('/sys/fs/cgroup')",
    "the host's services": "__import__('os').listdir('/run')",
    "the internet": "__import__('socket').create_connection(('1.1.1.1', 53), timeout=1)",
    "the host's ports": "__import__('socket').create_connection(('127.0.0.1', 22), timeout=1)",
    "datagrams": "__import__('socket').socket(2, 2).sendto(b'x', ('127.0.0.1', 9))",
    "netlink": "__import__('socket').socket(16, 3)",
    "raw sockets": "__import__('socket').socket(17, 3)",
    "the clock": "__import__('time').clock_settime(0, 0)",
    "the host's name": "__import__('socket').sethostname('x')",
    "a setuid program": "open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0] == '1' and 1 / 0",
    "priorities": "__import__('os').setpriority(0, 0, -5)",
    **{
        name: f"(lambda n: n >= 0 or 1 / 0)(__import__('ctypes').CDLL(None).{call})"
        for name, call in {
            "a user namespace": "unshare(0x10000000)",
            "a mount": "mount(b'none', b'/tmp', b'tmpfs', 0, None)",
            "System V memory": "shmget(0, 1 << 20, 0o1600)",
            "System V messages": "msgget(0, 0o1600)",
            "System V semaphores": "semget(0, 1, 0o1600)",
            "POSIX messages": "mq_open(b'/left', 0o102, 0o600, None)",
            "memory files": "memfd_create(b'x', 0)",
            "the keyring": "syscall(248, b'user', b'left', b'x', 1, -3)",
            "io_uring": "syscall(425, 8, __import__('ctypes').create_string_buffer(120))",
            "tracing": "ptrace(16, 1, 0, 0)",
            "kernel programs": "syscall(321, 0, None, 0)",
            "performance counters": "syscall(298, None, 0, -1, -1, 0)",
        }.items()
    },
}
"""What lies outside, and a Python expression that fails where it cannot be reached."""

SCRIPT_PAIRS = [("1 2", "3"), ("7 8", "15"), ("20 21", "41")]
RIGHT_SCRIPT = "print(sum(map(int, input().split())))"
SCRIPT_ATTACKS = {
    "nothing printed": "pass",
    "everything printed": "for i in range(100): print(i)",
    "outputs looked for": (
        "import gc, os, re, sys\nfound = [o for o in gc.get_objects() if isinstance(o, dict) and 'inputs' in o]\n"
        "frame = sys._getframe()\nwhile frame:\n    found += [frame.f_locals.get('work')]\n"
        "    frame = frame.f_back\n"
        "print([f for f in found if f])"
    ),
    "descriptors looked for": (
        'import os\nfor fd in range(3, 1024):\n    try: os.write(fd, b\'[0, "3", ""]\')\n    except OSError: pass'
    ),
    "the parent's link used": (
        "import os\nfolder = f'/proc/{os.getppid()}/fd'\n"
        "for fd in os.listdir(folder): print(open(f'{folder}/{fd}').read())"
    ),
    "the parent killed": "import os\nos.kill(os.getppid(), 9)",
    "the parent stopped": "import os\nos.kill(os.getppid(), 19)",
    "everyone killed": "import os\nos.kill(-1, 9)",
    "exit status 0": "import os\nos._exit(0)",
    "output without an end": "while True: print('3')",
    "errors without an end": "import sys\nwhile True: print('3', file=sys.stderr)",
    "input without an end": "import sys\nwhile True: sys.stdin.read()",
    "output by a daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(0.3)\n    print(3)",
    "memory": "x = b'x' * (1 << 40)",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
}
