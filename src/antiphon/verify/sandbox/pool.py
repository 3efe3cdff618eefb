"""The sandbox as verifiers use it: so many programs at once, each in a place of its own."""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import os
import socket
import sys
import tempfile
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from antiphon.errors import UsageError
from antiphon.verify.sandbox import cgroup
from antiphon.verify.sandbox.base import Completed, Program
from antiphon.verify.sandbox.isolation import ENVIRONMENT, isolation, restrained
from antiphon.verify.sandbox.process import Launch, Running
from antiphon.verify.workers import cores


class Sandbox:
    """Runs programs that models wrote, shut in, `jobs` at once; of one event loop. `docs/sandbox.md` tells what holds.

    Args:
        jobs: how many at once; None: as many as there are processors for us.
        unsafe: not shut in at all, as ordinary processes of this user in a temporary folder. The limits on time, output
            and each process's memory hold; nothing keeps a program from this user's files, processes and network.
    """

    def __init__(self, jobs: int | None = None, *, unsafe: bool = False):
        self.jobs = jobs or cores()
        self.unsafe = unsafe
        self._turns = asyncio.Semaphore(self.jobs)
        self._groups: list[cgroup.Cgroup | None] = []  # by place
        self._free: list[int] = []  # places, the lowest first
        weakref.finalize(self, _remove, self._groups)

    def require(self) -> None:
        """Makes sure that programs can be shut in here.

        Raises:
            UsageError: they cannot; the message says what to install or to allow.
        """
        if not self.unsafe:
            isolation()

    @property
    def python(self) -> str:
        """The Python interpreter for programs; raises as `require`."""
        return sys.executable if self.unsafe else isolation().python

    @property
    def reads_our_bytecode(self) -> bool:
        """Whether that interpreter runs what this one has compiled; raises as `require`."""
        return self.unsafe or isolation().magic == MAGIC_NUMBER

    def holds(self) -> str:
        """In one line, for reports: how programs are shut in on this machine, and which limits do not hold."""
        if self.unsafe:
            return "not shut in (unsafe): limits on time, output and the memory of each process only"
        with self._place() as place:
            memory = "memory" if self._groups[place] else "memory of each process only (no cgroup can be made here)"
        user = "this user in a namespace" if isolation().uids is None else "users of their own"
        return f"shut in by bubblewrap, {user}, no network; limits on time, output, processes, files, {memory}"

    async def run(self, program: Program) -> Completed:
        """Runs a program to its end, or to a limit. Nothing of it is left afterwards, also if this is cancelled.

        Raises:
            UsageError: it cannot be started; the message says what to install or to allow.
        """
        async with self._turns:
            with _held("stdin", program.stdin) as stdin:
                async with self._running(program, stdin) as running:
                    return await running.result()

    async def run_beside(self, leader: Program, follower: Program) -> tuple[Completed, Completed]:
        """Runs two programs, each shut in by itself, whose standard inputs are the two ends of one socket.

        They have nothing else in common. When the leader ends, the follower is ended; when the follower does, the
        leader reads the end of the socket. They take one turn of the pool, since mostly one waits for the other.

        Returns:
            How the leader and the follower ended; the status of a follower that was ended is None.

        Raises:
            UsageError: as `run`.
        """
        async with self._turns:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                async with (
                    self._running(leader, ours.fileno()) as leading,
                    self._running(follower, theirs.fileno()) as following,
                ):
                    ours.close()
                    theirs.close()
                    followed = asyncio.ensure_future(following.result())
                    try:
                        led = await leading.result()
                    finally:
                        following.stop()
                        await asyncio.wait([followed])
                    return led, followed.result()

    @asynccontextmanager
    async def _running(self, program: Program, stdin: int) -> AsyncIterator[_Result]:
        """Starts a program; it is gone when the block is left."""
        with self._place() as place, ExitStack() as stack:
            launch = self._locally(program, stdin, stack) if self.unsafe else self._apart(program, stdin, place, stack)
            group = self._groups[place]
            kills = 0 if group is None else group.kills()
            running = Running(launch, program.limits)
            try:
                yield _Result(running, group, kills)
            finally:
                await running.end()

    def _apart(self, program: Program, stdin: int, place: int, stack: ExitStack) -> Launch:
        """How a program is started in the sandbox."""
        group = self._groups[place]
        if group is not None:
            group.limit(program.limits)
        files = {name: stack.enter_context(_held(name, content)) for name, content in program.files.items()}
        reads, writes = os.pipe()
        stack.callback(os.close, reads)
        stack.callback(os.close, writes)
        command = isolation().command(
            program.command,
            place=place,
            limits=program.limits,
            files=files,
            joins=None if group is None else group.enter,
            status=writes,
        )
        return Launch(command, ENVIRONMENT, "/", stdin, (*files.values(), writes), reads)

    @staticmethod
    def _locally(program: Program, stdin: int, stack: ExitStack) -> Launch:
        """How a program is started as an ordinary process."""
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-", ignore_cleanup_errors=True))
        for name, content in program.files.items():
            Path(folder, name).write_bytes(content)
        command = [*restrained(program.limits, memory=True, processes=False), *program.command]
        return Launch(command, {**ENVIRONMENT, "PATH": os.environ.get("PATH", ""), "HOME": folder}, folder, stdin)

    @contextmanager
    def _place(self) -> Iterator[int]:
        """A free place; a new one where there is none."""
        if self._free:
            place = heapq.heappop(self._free)
        else:
            place = len(self._groups)
            self._groups.append(None if self.unsafe else cgroup.make())
        try:
            yield place
        finally:
            heapq.heappush(self._free, place)


class _Result:
    """A program under way in its place."""

    def __init__(self, running: Running, group: cgroup.Cgroup | None, kills: int):
        self._running, self._group, self._kills = running, group, kills

    async def result(self) -> Completed:
        """How it ended."""
        completed, started = await self._running.result()
        if self._group is not None and self._group.kills() > self._kills:
            return replace(completed, out_of_memory=True)
        if not started:
            said = " ".join(completed.stderr.decode(errors="replace").split())
            raise UsageError(f"the sandbox does not start a program any more, though it did: {said}")
        return completed

    def stop(self) -> None:
        """Has it ended."""
        self._running.stop()


@contextmanager
def _held(name: str, content: bytes) -> Iterator[int]:
    """A descriptor that reads `content`; whoever has it cannot change or lengthen it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(groups: list[cgroup.Cgroup | None]) -> None:
    for group in groups:
        if group is not None:
            group.remove()
