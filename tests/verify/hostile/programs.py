"""What they are, what they may be judged, and within which limits they run."""

from __future__ import annotations

from typing import NamedTuple

from antiphon.trace import Label
from antiphon.verify.sandbox import MIB, Limits

RIGHT, WRONG, CRASHED, LATE = Label.RIGHT, Label.WRONG, Label.CRASHED, Label.TIMED_OUT
SMALL = Limits(cpu=10, wall=30, memory=256 * MIB, disk=16 * MIB, output=MIB, processes=32)
SHORT = Limits(cpu=1, wall=0.5, memory=256 * MIB, disk=16 * MIB, output=MIB, processes=32)


class Program(NamedTuple):
    """The code, the labels that it may get, its limits."""

    code: str
    labels: tuple[Label, ...]
    limits: Limits = SMALL


TRY = """
import os, ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
def won(*attempts):
    for attempt in attempts:
        try:
            if attempt() is not False:
                return 2
        except Exception:
            pass
    return 0
"""

EXHAUSTING = {
    "endless loop": Program("def f(x):\n    while True: pass", (LATE,), SHORT),
    "endless loop in import": Program("while True: pass", (LATE,), SHORT),
    "sleeps": Program("import time\ndef f(x): time.sleep(1000)", (LATE,), SHORT),
    "stops itself": Program("import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGSTOP)", (LATE,), SHORT),
    "ignores every signal": Program(
        "import signal\n"
        "for number in range(1, 65):\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "def f(x):\n    while True: pass",
        (LATE,),
        SHORT,
    ),
    "fork bomb": Program("import os\ndef f(x):\n    while True: os.fork()", (CRASHED,)),
    "patient fork bomb": Program(
        "import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass", (LATE,), SHORT
    ),
    "thread bomb": Program(
        "import threading, time\n"
        "def f(x):\n    while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        (CRASHED,),
    ),
    "one large file": Program(
        "def f(x):\n    with open('large', 'wb') as file:\n        while True: file.write(bytes(1 << 20))", (CRASHED,)
    ),
    "many files": Program(
        "def f(x):\n    for n in range(10**6): open(str(n), 'wb').write(bytes(1 << 16))\n    return 2", (CRASHED,)
    ),
    "many empty files": Program(
        "import os\ndef f(x):\n    for n in range(10**7): os.close(os.open(str(n), os.O_CREAT))\n    return 2",
        (CRASHED, LATE),
        SHORT,
    ),
    "fills shared memory": Program(
        "def f(x):\n    for n in range(10**6): open(f'/dev/shm/{n}', 'wb').write(bytes(1 << 20))\n    return 2",
        (CRASHED,),
    ),
    "fills anonymous files": Program(
        "import os\n"
        "def f(x):\n"
        "    files = [os.memfd_create(str(n)) for n in range(200)]\n"
        "    for file in files:\n        for _ in range(8): os.write(file, bytes(1 << 20))\n"
        "    return 2",
        (CRASHED,),
    ),
    "fills memory": Program(
        "def f(x):\n    kept = [bytearray(1 << 24) for _ in range(1000)]\n    return 2", (CRASHED,)
    ),
    "fills memory with many processes": Program(
        "import os, time\n"
        "def f(x):\n"
        "    for _ in range(16):\n"
        "        if os.fork() == 0:\n"
        "            kept = bytearray(1 << 26)\n"
        "            time.sleep(20)\n"
        "            os._exit(0)\n"
        "    return 2 if all(os.wait()[1] == 0 for _ in range(16)) else 0",
        (CRASHED, WRONG),
        SMALL,
    ),
    "prints a gigabyte": Program("def f(x):\n    for _ in range(10**7): print('x' * 100)\n    return 2", (CRASHED,)),
    "prints one endless line": Program(
        "import os\ndef f(x):\n    for _ in range(1024): os.write(2, b'x' * (1 << 20))\n    return 2", (CRASHED,)
    ),
    "deep recursion": Program("def f(x): return f(x)", (CRASHED,)),
    "recursion without limit": Program("import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x)", (CRASHED,)),
    "a segmentation fault": Program("import ctypes\ndef f(x): return ctypes.string_at(0)", (CRASHED,)),
    "gives a value without end": Program(
        "def f(x):\n    value = []\n    value.append(value)\n    return value", (CRASHED,)
    ),
    "gives too large a value": Program("def f(x): return 'x' * (140 << 20)", (CRASHED,)),
    "waits for input": Program("def f(x): return int(input())", (CRASHED,)),
}

REACHING = {
    "reads the environment": Program(
        "import os, glob\n"
        "def f(x):\n"
        "    for path in glob.glob('/proc/*/environ'):\n"
        "        if b'{SECRET}' in open(path, 'rb').read(): return 2\n"
        "    return 2 if '{SECRET}' in os.environ.values() else 0",
        (WRONG,),
    ),
    "reads a file of another user": Program(
        "def f(x): return 2 if '{SECRET}' in open('{FILE}').read() else 0", (CRASHED,)
    ),
    "looks for files everywhere": Program(
        "import os\n"
        "def f(x):\n"
        "    for folder, _, files in os.walk('/'):\n"
        "        if not folder.startswith(('/proc', '/usr')) and os.path.basename('{FILE}') in files: return 2\n"
        "    return 0",
        (WRONG,),
    ),
    "looks for the tests": Program(
        "import os\n"
        "def f(x):\n"
        "    for folder in ('.', '/tmp', '/', '/home', '/root', '/proc/1/root/tmp', '/proc/1/cwd'):\n"
        "        try: names = os.listdir(folder)\n"
        "        except OSError: continue\n"
        "        if {'tests.py', 'checker.py', 'checker.pyc'} & set(names): return 2\n"
        "    return 0",
        (WRONG,),
    ),
    "reads the passwords": Program("def f(x): return 2 if open('/etc/shadow').read() else 0", (CRASHED,)),
    "reads who there is": Program("def f(x): return 2 if open('/etc/passwd').read() else 0", (CRASHED,)),
    "reads the tests out of memory": Program(
        "import gc, inspect, sys\n"
        "def f(x):\n"
        "    frames = [frame.frame.f_globals for frame in inspect.stack()]\n"
        "    for each in [*gc.get_objects(), *frames]:\n"
        "        if isinstance(each, (list, dict, tuple)) and 'assert ' + 'candidate' in repr(each)[:10**5]: return 2\n"
        "    return 2 if 'checker' in sys.modules or 'tests' in sys.modules else 0",
        (WRONG,),
    ),
    "a TCP connection": Program(
        "import socket\ndef f(x):\n    socket.create_connection(('127.0.0.1', {PORT}), 2)\n    return 2", (CRASHED,)
    ),
    "a TCP connection to elsewhere": Program(
        "import socket\ndef f(x):\n    socket.create_connection(('192.0.2.1', 80), 2)\n    return 2", (CRASHED,)
    ),
    "a datagram": Program(
        TRY + "def f(x): return won(\n"
        "    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', {PORT})),\n"
        "    lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2001:db8::1', {PORT})))",
        (WRONG,),
    ),
    "an abstract Unix socket": Program(
        "import socket\ndef f(x):\n    socket.socket(socket.AF_UNIX).connect(chr(0) + '{ABSTRACT}')\n    return 2",
        (CRASHED,),
    ),
    "a Unix socket": Program(
        "import socket\ndef f(x):\n    socket.socket(socket.AF_UNIX).connect('{UNIX}')\n    return 2", (CRASHED,)
    ),
    "the network's interfaces": Program(
        "import socket\ndef f(x): return 2 if {name for _, name in socket.if_nameindex()} != {'lo'} else 0", (WRONG,)
    ),
    "raw sockets": Program(
        TRY + "def f(x): return won(\n"
        "    lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),\n"
        "    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))",
        (WRONG,),
    ),
    "writes outside": Program(
        TRY + "def f(x): return won(*[lambda at=at: open(at + '/canary', 'w') for at in (\n"
        "    '/', '/usr', '/usr/bin', '/etc', '/dev', '/proc', '/proc/sys', '/sys', '/home', '/root', '/var/tmp')],\n"
        "    lambda: open('{FILE}', 'w'))",
        (WRONG,),
    ),
    "links that lead outside": Program(
        TRY + "def f(x):\n"
        "    os.symlink('/etc/shadow', 'one'); os.symlink('{FILE}', 'two'); os.symlink('/proc/1/root/etc', 'three')\n"
        "    return won(lambda: open('one').read(), lambda: open('two').read(), lambda: open('two', 'a').write('x'),\n"
        "               lambda: os.link('/usr/bin/python3', 'four') or open('four', 'r+b'),\n"
        "               lambda: open('three/shadow'))",
        (WRONG,),
    ),
    "the kernel's settings": Program(
        TRY + "def f(x): return won(*[lambda at=at: open(at, 'w').write('1') for at in (\n"
        "    '/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/sys/user/max_user_namespaces',\n"
        "    '/sys/fs/cgroup/memory/cgroup.procs', '/sys/fs/cgroup/cgroup.procs')])",
        (WRONG,),
    ),
    "mounts, roots, devices, users": Program(
        TRY + "def f(x): return won(\n"
        "    lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0,\n"
        "    lambda: libc.umount2(b'/tmp', 2) == 0,\n"
        "    lambda: libc.mount(None, b'/', None, 32 | 4096, None) == 0,\n"
        "    lambda: os.chroot('/tmp'),\n"
        "    lambda: os.mknod('disk', 0o60600, os.makedev(254, 0)),\n"
        "    lambda: os.setuid(0),\n"
        "    lambda: os.setgroups([0]),\n"
        "    lambda: os.chown('/tmp', 0, 0),\n"
        "    lambda: libc.sethostname(b'x', 1) == 0,\n"
        "    lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),\n"
        "    lambda: os.nice(-5))",
        (WRONG,),
    ),
    "namespaces of its own": Program(
        TRY + "def f(x): return won(*[lambda flag=flag: libc.unshare(flag) == 0 for flag in (\n"
        "    0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000)])",
        (WRONG,),
    ),
    "wider limits": Program(
        "import resource\n" + TRY + "def f(x): return won(*[\n"
        "    lambda kind=kind: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)])",
        (WRONG,),
    ),
    "the terminal": Program(
        "import fcntl, termios\n" + TRY + "def f(x): return won(\n"
        "    lambda: fcntl.ioctl(0, termios.TIOCSTI, b'x'),\n"
        "    lambda: open('/dev/tty', 'w').write('x'))",
        (WRONG,),
    ),
}

KILLING = {
    "kills its parent": Program(
        "import os\ndef f(x):\n    os.kill(os.getppid(), 9)\n    return 0 if os.getppid() == 1 else 2", (WRONG, CRASHED)
    ),
    "kills everything": Program(
        "import os\ndef f(x):\n    try: os.kill(-1, 9)\n    except ProcessLookupError: return 0\n    return 0",
        (WRONG, CRASHED),
    ),
    "stops everything": Program(
        "import os\n"
        "def f(x):\n"
        "    try: os.kill(-1, 19)\n"
        "    except ProcessLookupError: pass\n"
        "    os.kill(os.getpid(), 19)",
        (LATE,),
        SHORT,
    ),
    "kills the first process from inside": Program(
        "import os, signal\n" + TRY + "def f(x):\n"
        "    libc.ptrace(16, 1, 0, 0); libc.ptrace(8, 1, 0, 0)\n"
        "    for number in range(1, 65): won(lambda: os.kill(1, number))\n"
        "    return 0",
        (WRONG, CRASHED, LATE),
        SHORT,
    ),
    "writes into the first process": Program(
        TRY + "def f(x):\n"
        "    maps = [line.split() for line in open('/proc/1/maps') if ' r-xp ' in line and 'bwrap' in line]\n"
        "    start = int(maps[0][0].split('-')[0], 16)\n"
        "    with open('/proc/1/mem', 'r+b', buffering=0) as memory:\n"
        "        memory.seek(start)\n"
        "        memory.write(bytes([0xCC]) * (1 << 14))\n"
        "    return 0",
        (WRONG, CRASHED),
    ),
    "a daemon": Program(
        "import os, time\n"
        "def f(x):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            os.closerange(0, 256)\n"
        "            time.sleep(1000)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    return 2",
        (RIGHT,),  # what it gives is right; the daemon is gone with it
    ),
    "a daemon that holds the outputs": Program(
        "import os, signal, time\n"
        "def f(x):\n"
        "    if os.fork() == 0:\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        os.setsid()\n"
        "        time.sleep(1000)\n"
        "    return 2",
        (RIGHT,),
    ),
    "a server": Program(
        "import os, socket, time\n"
        "server = socket.create_server(('0.0.0.0', {FREE_PORT}))\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    time.sleep(1000)\n"
        "def f(x): return 2",
        (RIGHT,),
    ),
}

CHEATING = {
    "ends well in import": Program("import os\nos._exit(0)", (CRASHED,)),
    "exits in import": Program("import sys\nsys.exit(0)", (CRASHED,)),
    "raises SystemExit in import": Program("raise SystemExit", (CRASHED,)),
    "exits in the call": Program("def f(x): raise SystemExit(0)", (CRASHED,)),
    "ends well in the call": Program("import os\ndef f(x): os._exit(0)", (CRASHED,)),
    "ends well in a thread": Program(
        "import os, threading, time\nthreading.Timer(0.05, os._exit, (0,)).start()\ndef f(x): time.sleep(5)", (CRASHED,)
    ),
    "prints the verdict": Program(
        "import os\n"
        "for said in (b'13\\nt2:s6:passeds0:', b'passed\\n', b'right\\n'):\n"
        "    for to in (1, 2): os.write(to, said)\n"
        "os._exit(0)",
        (CRASHED,),
    ),
    "sends the verdict": Program(
        "import os\n"
        "for to in range(64):\n"
        "    try: os.write(to, b'16\\nt2:s6:passeds0:')\n"
        "    except OSError: pass\n"
        "def f(x): return 0",
        (CRASHED,),
    ),
    "sends replies that nobody asked for": Program(
        "import os\n"
        "for to in range(3, 64):\n"
        "    try: os.write(to, b'22\\nl3:s5:valuei1;t1:i1;' * 3)\n"
        "    except OSError: pass\n"
        "def f(x): return 0",
        (CRASHED, WRONG),
    ),
    "promises an endless message": Program(
        "import os\n"
        "for to in range(3, 64):\n"
        "    try: os.write(to, b'99999999999\\n')\n"
        "    except OSError: pass\n"
        "def f(x): return 0",
        (CRASHED,),
    ),
    "never ends its line": Program(
        "import os\n"
        "for to in range(3, 64):\n"
        "    try: os.write(to, b'9' * 1000)\n"
        "    except OSError: pass\n"
        "def f(x): return 0",
        (CRASHED,),
    ),
    "sends what is no value": Program(
        "import sys\nsys.modules['__main__'].encode = lambda *_: b'l9999999999:'\ndef f(x): return 0", (CRASHED,)
    ),
    "sends another kind of value": Program(
        "import sys\n"
        "sys.modules['__main__'].encode = lambda *_: b't3:s5:valuext4:s2:oss6:systems4:trueNt0:'\n"
        "def f(x): return 0",
        (CRASHED,),
    ),
    "closes everything": Program("import os\nos.closerange(0, 256)\ndef f(x): return 0", (CRASHED,)),
    "patches the builtins": Program(
        "import builtins\n"
        "builtins.AssertionError = type('Never', (BaseException,), {})\n"
        "builtins.isinstance = lambda *_: True\n"
        "builtins.all = builtins.any = lambda *_: True\n"
        "def f(x): return 0",
        (WRONG, CRASHED),
    ),
    "patches the comparison of what is compared": Program(
        "class Two(int):\n"
        "    __eq__ = lambda self, other: True\n"
        "    __ne__ = lambda self, other: False\n"
        "    __hash__ = int.__hash__\n"
        "    __index__ = __int__ = __trunc__ = lambda self: 2\n"
        "    __format__ = lambda self, how: '2'\n"
        "def f(x): return Two(0)",
        (WRONG,),
    ),
    "equals everything": Program(
        "class Any:\n"
        "    __eq__ = lambda self, other: True\n"
        "    __ne__ = lambda self, other: False\n"
        "    __bool__ = lambda self: True\n"
        "    __hash__ = lambda self: hash(2)\n"
        "def f(x): return Any()",
        (WRONG,),
    ),
    "a text that equals everything": Program(
        "class Text(str):\n    __eq__ = lambda *_: True\n    __hash__ = str.__hash__\ndef f(x): return Text()", (WRONG,)
    ),
    "a list that equals everything": Program(
        "class List(list):\n    __eq__ = lambda *_: True\n    __iter__ = lambda _: iter([2])\ndef f(x): return List()",
        (WRONG,),
    ),
    "shows itself by asking again": Program(
        "class Again:\n    __repr__ = __str__ = lambda self: self\n    __getattr__ = lambda self, _: self\n"
        "def f(x): return Again()",
        (WRONG,),
    ),
    "raises what the tests raise": Program("def f(x): raise AssertionError", (CRASHED,)),
    "raises what cannot be shown": Program(
        "class Odd(Exception):\n    def __str__(self): raise self\ndef f(x): raise Odd", (CRASHED,)
    ),
    "raises what ends the tests": Program("class Over(BaseException): pass\ndef f(x): raise Over", (CRASHED,)),
    "changes its argument": Program("def f(x):\n    x += 1\n    return x - 1", (WRONG,)),
    "rewrites the files beside it": Program(
        "for name in ('solution.py', 'candidate.py', 'values.py', 'checker.py', 'tests.py'):\n"
        "    open(name, 'w').write('print(2)')\n"
        "def f(x): return 0",
        (WRONG,),
    ),
    "becomes another program": Program(
        "import os\ndef f(x): os.execv('/bin/sh', ['sh', '-c', 'echo passed; exit 0'])", (CRASHED,)
    ),
}

PROGRAMS = {**EXHAUSTING, **REACHING, **KILLING, **CHEATING}
TOGETHER = {"fills anonymous files", "fills memory with many processes"}
"""Those that only a limit on the memory of all processes together holds back."""
SLOW = {
    "endless loop in import",
    "fills memory with many processes",
    "fills anonymous files",
    "ignores every signal",
    "kills the first process from inside",
    "many empty files",
    "patient fork bomb",
    "prints one endless line",
    "stops everything",
    "stops itself",
}
"""Those that take a second or so and have a quicker one of their kind."""
