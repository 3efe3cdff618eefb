"""The process in which `antiphon.verify.workers` has judgements made.

    python -m antiphon.verify.worker PARENT MEMORY

PARENT is the process that started it, MEMORY the bytes of address space it may have. Each line of standard input is a
request: a JSON list of a function as `package.module:name`, its arguments, and the seconds of processor time it may
take. Each gets one line: `value`, or `raised`; neither stands for want of memory. Time is up by a signal that ends the
process whatever it is doing. It writes no file, whatever it is made to do.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import resource
import signal
import sys
from typing import Any

_PATIENCE = 6  # seconds by the clock for each second of processor time: others may be using the machine
_SPENT = b'{"spent": true}\n'


def main(parent: int, memory: int) -> None:
    _die_with(parent)
    requests = sys.stdin.buffer
    replies = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print
    logging.disable()
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # macOS refuses some; a stricter one may be in force
            pass
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.write(replies, b"ready\n")
    for line in requests:
        reply = _reply(line)
        _write(replies, reply)
        if reply is _SPENT:
            break


def _reply(request: bytes) -> bytes:
    try:
        function, arguments, seconds = json.loads(request)
        try:
            called = _function(function)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            signal.setitimer(signal.ITIMER_REAL, seconds * _PATIENCE)
            reply = json.dumps({"value": called(*arguments)})
        except MemoryError:
            raise
        except Exception as error:  # a judge's own mistake costs this one verdict
            reply = json.dumps({"raised": f"{type(error).__name__}: {error}"})
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        return reply.encode("ascii") + b"\n"
    except MemoryError:
        return _SPENT


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _write(replies: int, data: bytes) -> None:
    while data:
        data = data[os.write(replies, data) :]


def _die_with(parent: int) -> None:
    """Ends this process when its parent dies, also in the middle of a judgement. Where there is no such thing, it ends
    when its input closes or its time is up."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1  # noqa: N806 - as linux/prctl.h has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
