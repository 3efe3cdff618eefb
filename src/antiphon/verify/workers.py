"""Judging that can hang or eat memory, in processes that can be killed.

sympy and SQLite spend minutes on a few characters and hear of no cancellation, and Python's `re` does not even let
another thread run. So each such judgement is made by a process of `antiphon.verify.worker`, which is kept for the next
one, with limits that the kernel enforces; where one is reached, the process is gone and the next is started.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from antiphon.errors import UsageError
from antiphon.trace import Label

_Result = TypeVar("_Result")

MEMORY = 1 << 30
"""Bytes of address space that a judging process may have."""


class Reply(NamedTuple):
    """What a judging function returned, and the seconds it took."""

    value: Any
    seconds: float


class Stopped(Exception):
    """A judgement that was not finished; `label` is `TIMED_OUT` or `CRASHED`."""

    def __init__(self, label: Label, reason: str):
        super().__init__(reason)
        self.label = label


class Workers:
    """Processes for judging, started when needed, at most `jobs` at a time (unset: one for each core).

    They end with this object, and with this process in whatever way it ends.
    """

    def __init__(self, *, jobs: int | None = None, memory: int = MEMORY):
        self._threads = ThreadPoolExecutor(jobs or cores(), "judging")
        self._memory = memory
        self._idle: list[_Worker] = []
        weakref.finalize(self, _end, self._idle)

    async def ask(self, function: str, *arguments: Any, seconds: float) -> Reply:
        """What a function returns for these arguments.

        Args:
            function: `package.module:name`; arguments and result are such as JSON has.
            seconds: of processor time that it may take. Six times as long by the clock ends it too.

        Raises:
            Stopped: it took more time or memory, or raised something.
            UsageError: no process can be started here.
        """
        task = _Task(self._idle, self._memory, [function, arguments, seconds])
        return await in_thread(self._threads, task.run, task.stop)


async def in_thread(threads: Executor, run: Callable[[], _Result], stop: Callable[[], None]) -> _Result:
    """What `run` returns when it is called in one of these threads.

    Who calls this off calls `stop`, which is to make `run` end soon, and waits until it has. What has not had its turn
    by then never begins.
    """
    running = threads.submit(run)
    waiting = asyncio.wrap_future(running)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        if not running.cancel():
            stop()
            await asyncio.wait([waiting])
            waiting.exception()  # it is known why
        raise


class _Task:
    """One judgement: carried out in a thread by `run`, given up from another by `stop`."""

    def __init__(self, idle: list[_Worker], memory: int, request: list[Any]):
        self._idle, self._memory = idle, memory
        self._request = json.dumps(request).encode("ascii") + b"\n"
        self._function, _, self._seconds = request
        self._lock = Lock()
        self._worker: _Worker | None = None
        self._stopped = False

    def run(self) -> Reply:
        line = None
        while line is None:
            worker = self._take()
            began = monotonic()
            line = worker.tell(self._request)
            if not line:
                status = worker.end()
        with self._lock:
            self._worker = None
        if not line:
            raise self._why(status)
        reply = json.loads(line)
        if reply.get("spent"):
            worker.end()
        else:
            self._idle.append(worker)
        if "raised" in reply:
            raise Stopped(Label.CRASHED, f"{self._function} raised {reply['raised']}")
        if "value" not in reply:
            raise self._memory_out()
        return Reply(reply["value"], monotonic() - began)

    def _take(self) -> _Worker:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._memory)
        with self._lock:
            self._worker = worker
            if not self._stopped:
                return worker
        worker.end()
        raise Stopped(Label.CRASHED, "it was called off")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._worker is not None:
                self._worker.kill()

    def _why(self, status: int) -> Stopped:
        if status in (-signal.SIGPROF, -signal.SIGALRM):
            return Stopped(Label.TIMED_OUT, f"judging took more than {self._seconds:g} s")
        if status == -signal.SIGKILL:
            return self._memory_out()
        return Stopped(Label.CRASHED, f"the judging process ended ({status})")

    def _memory_out(self) -> Stopped:
        return Stopped(Label.CRASHED, f"judging took more than {self._memory >> 20} MiB of memory")


class _Worker:
    """One process."""

    def __init__(self, memory: int):
        command = [sys.executable, "-P", "-m", "antiphon.verify.worker", str(os.getpid()), str(memory)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )  # in a session of its own: Ctrl-C in the terminal is for us, who may want to finish what is under way
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            status = self.end()
            raise UsageError(f"a judging process does not start here (status {status}): {' '.join(command)}")

    def tell(self, request: bytes) -> bytes | None:
        """The reply; b"" if it died over the request, None if it was dead before."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self._process.stdout.readline()
        return line if line.endswith(b"\n") else b""

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """Ends it and says with what status it did, or had before."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()  # of one that is ending by itself this changes nothing
        status = self._process.wait()
        self._process.stdout.close()
        try:
            self._process.stdin.close()
        except BrokenPipeError:  # what it did not read any more
            pass
        return status


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().end()
