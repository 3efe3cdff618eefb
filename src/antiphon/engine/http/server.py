"""One of the servers of a model: its slots, and what is known of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Broken, Fault

_LONGEST_ABORT = 5.0  # seconds


class Slots:
    """A server's slots, each of which keeps one prefix. A sequence gets the one that it had, if that is free."""

    def __init__(self, count: int):
        self._free = deque(range(count))
        self._waiting: deque[asyncio.Future[int]] = deque()

    @asynccontextmanager
    async def one(self, preferred: int | None) -> AsyncIterator[int]:
        """A slot for as long as the context lasts; waits while all are taken."""
        slot = await self._take(preferred)
        try:
            yield slot
        finally:
            self._give(slot)

    async def _take(self, preferred: int | None) -> int:
        if preferred is not None and preferred in self._free:
            self._free.remove(preferred)
            return preferred
        if self._free:
            return self._free.popleft()  # the one that rested longest
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._give(waiting.result())
            raise

    def _give(self, slot: int) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(slot)
                return
        self._free.append(slot)


class Server:
    """One address.

    Attributes:
        sequences: how many sequences live there now.
        up: whether it answered when it was last asked.
        doubtful: it may have been gone, so that another model may serve there now.
        leaving: it gets no new sequences; those that live there stay until they end.
        retries: requests that failed there and were tried again, there or elsewhere.
        asking: the question whether it does not, if it is being asked now.
    """

    def __init__(self, client: Client, slots: int | None = None):
        self.client = client
        self.slots = None if slots is None else Slots(slots)
        self.sequences = 0
        self.up = True
        self.doubtful = False
        self.leaving = False
        self.recovering = False
        self.retries = 0
        self.asking: asyncio.Task[None] | None = None
        self._aborting: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether new sequences may begin there."""
        return self.up and not self.leaving

    def slot(self, preferred: int | None) -> AbstractAsyncContextManager[int | None]:
        """As `Slots.one`; no slot where the server has none to choose from."""
        return nullcontext() if self.slots is None else self.slots.one(preferred)

    def doubt(self, fault: Fault) -> None:
        """After a fault: may it have been gone?"""
        self.doubtful = self.doubtful or isinstance(fault, Broken)

    def abandon(self, abort: Coroutine[Any, Any, None]) -> None:
        """Tells the server in the background that nobody listens to a request any more."""
        task = asyncio.create_task(_told(abort))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)

    async def close(self) -> None:
        """Lets go of its connections."""
        await asyncio.gather(*self._aborting)
        await self.client.close()


async def _told(abort: Coroutine[Any, Any, None]) -> None:
    with suppress(Fault, TimeoutError):
        async with asyncio.timeout(_LONGEST_ABORT):
            await abort
