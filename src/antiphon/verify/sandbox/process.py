"""Starts a process, reads what it writes, and ends it with all that came of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from antiphon.verify.sandbox.base import Completed, Limits

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Launch:
    """How a program is started: its command, variables, folder, standard input and what else stays open in it.

    `status` is the pipe given to bubblewrap as `--json-status-fd`, the end to read; None: not bubblewrap's command.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    stdin: int
    descriptors: Sequence[int] = ()
    status: int | None = None


class Running:
    """A program that has been started; `end` it, whatever happens. Descriptors of the launch stay the caller's."""

    def __init__(self, launch: Launch, limits: Limits):
        self._limits = limits
        self._began = time.monotonic()
        self._halt = asyncio.Event()
        (stdout, to_stdout), (stderr, to_stderr) = os.pipe(), os.pipe()
        try:
            self._process = subprocess.Popen(
                launch.command,
                stdin=launch.stdin,
                stdout=to_stdout,
                stderr=to_stderr,
                env=dict(launch.environment),
                cwd=launch.folder,
                pass_fds=launch.descriptors,
                start_new_session=True,
            )
        except BaseException:
            os.close(stdout)
            os.close(stderr)
            raise
        finally:
            os.close(to_stdout)
            os.close(to_stderr)
        self._exited = _Watched(self._process.pid)
        self._stdout = _Reader(stdout, limits.output, self._halt)
        self._stderr = _Reader(stderr, limits.output, self._halt)
        self._inner = None if launch.status is None else _Inner(os.dup(launch.status), self._halt)
        self._ending: asyncio.Future[None] | None = None

    async def result(self) -> tuple[Completed, bool]:
        """How it ended, by itself, at a limit, or stopped; and whether bubblewrap came so far as to start it."""
        timed_out = False
        try:
            async with asyncio.timeout(self._limits.wall - (time.monotonic() - self._began)):
                await _first(self._exited.gone.wait(), self._halt.wait())
        except TimeoutError:
            timed_out = True
        await self.end()
        halted = timed_out or self._halt.is_set()  # also where the last that it wrote was too much
        told = _by_shell(self._process.returncode) if self._inner is None else self._inner.exit_status()
        status = None if halted else told
        completed = Completed(
            status,
            bytes(self._stdout.kept),
            bytes(self._stderr.kept),
            time.monotonic() - self._began,
            timed_out=timed_out or status == 128 + signal.SIGXCPU,
            cut=self._stdout.over or self._stderr.over,
        )
        return completed, halted or told is not None

    def stop(self) -> None:
        """Has it ended as soon as may be."""
        self._halt.set()

    async def end(self) -> None:
        """Kills what is left of it and waits until that is gone; not to be interrupted, since what still ran would
        share the place of the next program."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._inner is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            # The first process of a process namespace takes all others with it, and is dead only when they are. It is
            # killed itself, not bubblewrap around it, which may not have tied the two together yet.
            await _first(self._inner.known.wait(), self._exited.gone.wait())
            if self._inner.process is not None:
                self._inner.process.kill()
                await self._inner.process.gone.wait()
        await self._exited.gone.wait()
        self._process.wait()
        for reader in (self._stdout, self._stderr, *([] if self._inner is None else [self._inner])):
            reader.close()


async def _first(*these: Coroutine[None, None, object]) -> None:
    """Waits for one of these and drops the others."""
    tasks = [asyncio.ensure_future(each) for each in these]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class _Watched:
    """A process: whether it is gone (all its threads, and in a namespace whose first it is, all others)."""

    def __init__(self, pid: int):
        self.gone = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._is_gone)

    def kill(self) -> None:
        if not self.gone.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def _is_gone(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.gone.set()


class _Reader:
    """Reads a pipe as it fills and keeps `most` bytes of it; with more it is `over`, and halts."""

    def __init__(self, descriptor: int, most: int, halt: asyncio.Event):
        self.kept = bytearray()
        self.over = False
        self._descriptor, self._most, self._halt = descriptor, most, halt
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def close(self) -> None:
        """Takes what is still in the pipe, not waiting for who else may hold its other end."""
        while not self.over and self._read():
            pass
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> bool:
        """Whether there was something."""
        try:
            chunk = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._descriptor)
            return False
        room = self._most - len(self.kept)
        self.kept += chunk[:room]
        if len(chunk) > room:
            self.over = True
            self._halt.set()
        return True


class _Inner(_Reader):
    """What bubblewrap tells, a JSON object a line: the first process inside, at the end the exit status."""

    def __init__(self, descriptor: int, halt: asyncio.Event):
        self.known = asyncio.Event()
        self.process: _Watched | None = None
        super().__init__(descriptor, CHUNK, halt)

    def exit_status(self) -> int | None:
        return self._number("exit-code")

    def _read(self) -> bool:
        read = super()._read()
        if not self.known.is_set() and (pid := self._number("child-pid")) is not None:
            with suppress(ProcessLookupError):
                self.process = _Watched(pid)
            self.known.set()
        return read

    def _number(self, name: str) -> int | None:
        found = re.search(rb'"%s": (\d+)[, ]' % name.encode(), self.kept)
        return int(found[1]) if found else None


def _by_shell(code: int) -> int:
    """A return code as a shell gives it: 128 + n for signal n."""
    return code if code >= 0 else 128 - code
